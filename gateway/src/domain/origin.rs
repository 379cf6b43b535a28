//! Where web pages come from (RFC 6454), and the hosts that HTTP requests name.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// A host and perhaps a port, as the header `Host` has them. Upper and lower case are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// In lower case, an IPv6 address without its brackets.
    host: Box<str>,
    port: Option<u16>,
}

impl Authority {
    /// `None` if `text` is no host with or without a port.
    pub fn new(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']')?;
                let address: Ipv6Addr = address.parse().ok()?;
                let port = match rest {
                    "" => None,
                    rest => Some(rest.strip_prefix(':')?),
                };
                (address.to_string(), port)
            }
            None => {
                let (host, port) = match text.split_once(':') {
                    Some((host, port)) => (host, Some(port)),
                    None => (text, None),
                };
                let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
                if host.is_empty() || !host.chars().all(is_host) {
                    return None;
                }
                (host.to_ascii_lowercase(), port)
            }
        };
        let port = match port {
            // `parse` would take a sign.
            Some(digits) if digits.starts_with('+') => return None,
            Some(digits) => Some(digits.parse().ok()?),
            None => None,
        };
        let host = host.into();
        Some(Self { host, port })
    }

    /// In lower case, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is an address and no name, so that nobody elsewhere can say where it leads.
    pub fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// Scheme, host and port of a page, as browsers send them in the header `Origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: Box<str>,
    /// Without the port that the scheme has anyway.
    authority: Authority,
}

impl Origin {
    /// `None` if `text` is not `scheme://host` or `scheme://host:port`, such as the `null` of pages without an origin.
    pub fn new(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(is_scheme)
        {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let authority = without_usual_port(Authority::new(authority)?, &scheme);
        Some(Self {
            scheme: scheme.into(),
            authority,
        })
    }

    /// Whether the page came from `host`.
    pub fn is_of(&self, host: &Authority) -> bool {
        self.authority == without_usual_port(host.clone(), &self.scheme)
    }
}

/// As browsers send it.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

fn without_usual_port(authority: Authority, scheme: &str) -> Authority {
    let usual = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    Authority {
        port: authority.port.filter(|port| Some(*port) != usual),
        ..authority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        for text in [
            "https://dash.example.com",
            "http://192.168.1.5:3000",
            "http://[::1]:8080",
            "capacitor://localhost",
        ] {
            assert_eq!(Origin::new(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "*",
            "null",
            "dash.example.com",
            "https://",
            "://a",
            "1s://a",
            "https://a/",
            "https://a/b",
            "https://a:",
            "https://a:+1",
            "https://a:70000",
            "https://user@a",
            "https://a b",
            "https://*.example.com",
            "http://::1",
            "http://[::1]8080",
            "http://[a]",
        ] {
            assert_eq!(Origin::new(text), None, "{text}");
        }
    }

    #[test]
    fn case_and_the_usual_port_make_no_difference() {
        let same =
            |one: &str, other: &str| Origin::new(one).unwrap() == Origin::new(other).unwrap();
        assert!(same("https://a.example:443", "HTTPS://A.Example"));
        assert!(same("http://[0:0::1]:80", "http://[::1]"));
        assert!(!same("https://a.example", "http://a.example"));
        assert!(!same("https://a.example:80", "https://a.example"));
        let is_of = |origin: &str, host: &str| {
            let host = Authority::new(host).unwrap();
            Origin::new(origin).unwrap().is_of(&host)
        };
        assert!(is_of("https://a.example", "a.example:443"));
        assert!(is_of("http://a.example:8083", "A.example:8083"));
        assert!(!is_of("http://a.example:8080", "a.example:8083"));
        assert!(!is_of("http://a.example", "a.example:443"));
    }
}
