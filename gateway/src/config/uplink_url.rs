//! An uplink's URL: encrypted unless it stays on this machine or the operator says otherwise.
//! Its text is never repeated in a message: it may hold a secret.

use url::{Host, ParseError, Url};

use crate::config::Uplink;
use crate::config::kinds::unexpected;
use crate::config::value::Value;

const EXPECTED: &str =
    "a URL such as \"https://cloud.example.com/api/sync\" or \"mqtts://broker.example.com\"";

/// Stands for the gateway's name.
pub(super) const GATEWAY_ID: &str = "%{gateway_id}";

/// Stands for the token while the URL is parsed, which would escape its braces. It is in no URL by chance.
const MARK: &str = "token-cb3f0a51d67e4c2b";

/// A URL without a fault.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) text: Box<str>,
    pub(super) receiver: Receiver,
}

/// Who is behind a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Receiver {
    Http,
    Broker(Broker),
}

/// Where a broker is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Broker {
    /// A name, or an address without brackets.
    pub host: Box<str>,
    /// Default: 8883, and 1883 without TLS.
    pub port: u16,
    pub is_encrypted: bool,
}

impl Checked {
    /// The host, a name or an address without brackets, and the port.
    pub(super) fn address(&self) -> Option<(String, u16)> {
        if let Receiver::Broker(broker) = &self.receiver {
            return Some((broker.host.to_string(), broker.port));
        }
        let url = Url::parse(&self.text).ok()?;
        let host = host(&url).ok()?;
        Some((plain(host), url.port_or_known_default()?))
    }

    /// Whether the way there is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        self.text.starts_with("https:") || self.text.starts_with("mqtts:")
    }
}

/// Checks a URL and puts the gateway's name into it; `leave` is the operator's leave to send unencrypted over the network.
pub(super) fn check(value: &Value, leave: bool, gateway_id: &str) -> Result<Checked, String> {
    let (Value::Text(text) | Value::Raw(text)) = value else {
        return Err(unexpected(EXPECTED, value));
    };
    let marked = text.replace(GATEWAY_ID, gateway_id);
    let marked = marked.replace(Uplink::TOKEN, MARK);
    if marked.contains("%{") {
        return Err("holds something else between %{ and } than gateway_id or token".to_owned());
    }
    let faulty = |error| format!("expected {EXPECTED}, found one with a fault: {error}");
    let url = Url::parse(&marked).map_err(|error| match error {
        ParseError::RelativeUrlWithoutBase => {
            format!("expected {EXPECTED}, found a text without `https://`")
        }
        error => faulty(error),
    })?;
    let is_broker = matches!(url.scheme(), "mqtt" | "mqtts");
    if !url.username().is_empty() || url.password().is_some() {
        let cure = if is_broker {
            "name the user in user, and a file with the password in password_file"
        } else {
            "put a token into a file and name it in bearer_token_file"
        };
        return Err(format!(
            "user and password do not belong into the URL: {cure}"
        ));
    }
    if url.authority().contains(MARK) {
        return Err("the token may stand in the path or the query, not in the host".to_owned());
    }
    match url.scheme() {
        "https" => {}
        "http" | "mqtt" if leave || is_loopback(&url) => {}
        "mqtts" => {}
        scheme @ ("http" | "mqtt") => {
            return Err(format!(
                "{scheme}:// would send readings unencrypted: use {scheme}s://, or set allow_plain_http = true \
                 if the network between is safe"
            ));
        }
        scheme => {
            return Err(format!(
                "expected {EXPECTED}, found one that begins with {scheme}:"
            ));
        }
    }
    if is_broker {
        return broker(&url).map_err(faulty)?;
    }
    Ok(Checked {
        text: url.as_str().replace(MARK, Uplink::TOKEN).into(),
        receiver: Receiver::Http,
    })
}

/// The outer error is one of the host's syntax.
fn broker(url: &Url) -> Result<Result<Checked, String>, ParseError> {
    let host = host(url)?;
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Ok(Err(
            "a broker's URL ends with its host and port: name the topic in topic".to_owned(),
        ));
    }
    let is_encrypted = url.scheme() == "mqtts";
    let port = url.port().unwrap_or(if is_encrypted { 8883 } else { 1883 });
    let text = format!("{}://{host}:{port}", url.scheme()).into();
    Ok(Ok(Checked {
        text,
        receiver: Receiver::Broker(Broker {
            host: plain(host).into(),
            port,
            is_encrypted,
        }),
    }))
}

/// A URL's host as those of HTTP have it: the parser leaves it as it stands where it does not know the scheme.
fn host(url: &Url) -> Result<Host, ParseError> {
    Host::parse(url.host_str().unwrap_or_default())
}

/// Without the brackets of a URL.
fn plain(host: Host) -> String {
    match host {
        Host::Ipv6(address) => address.to_string(),
        host => host.to_string(),
    }
}

/// Whether a checked URL may be reached by way of a proxy.
pub(super) fn may_use_proxy(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "https" && !is_loopback(&url))
}

fn is_loopback(url: &Url) -> bool {
    match host(url) {
        Ok(Host::Domain(name)) => name == "localhost",
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str, leave: bool) -> Result<Checked, String> {
        check(&Value::Text(text.to_owned()), leave, "edge-1")
    }

    #[test]
    fn encrypted_or_local_urls_pass() {
        for (text, leave, expected) in [
            (
                "https://Cloud.example.com/api/sync",
                false,
                "https://cloud.example.com/api/sync",
            ),
            (
                "https://cloud.example.com/%{gateway_id}/v1/%{token}?g=%{gateway_id}",
                false,
                "https://cloud.example.com/edge-1/v1/%{token}?g=edge-1",
            ),
            (
                "https://cloud.example.com",
                false,
                "https://cloud.example.com/",
            ),
            (
                "https://cloud.example.com:8443/a?b=c",
                false,
                "https://cloud.example.com:8443/a?b=c",
            ),
            ("http://localhost:9000/x", false, "http://localhost:9000/x"),
            ("http://127.8.9.1/x", false, "http://127.8.9.1/x"),
            ("http://[::1]:9000/x", false, "http://[::1]:9000/x"),
            (
                "http://cloud.example.com/",
                true,
                "http://cloud.example.com/",
            ),
        ] {
            let expected = Checked {
                text: expected.into(),
                receiver: Receiver::Http,
            };
            assert_eq!(checked(text, leave), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_broker_has_a_host_and_a_port() {
        let check = |text: &str, leave: bool, shown: &str, (host, port): (&str, u16)| {
            let expected = Checked {
                text: shown.into(),
                receiver: Receiver::Broker(Broker {
                    host: host.into(),
                    port,
                    is_encrypted: text.starts_with("mqtts"),
                }),
            };
            assert_eq!(checked(text, leave), Ok(expected), "{text}");
        };
        let at = "mqtts://b.example.com:8883";
        check("mqtts://B.example.com", false, at, ("b.example.com", 8883));
        check(
            "mqtts://b.example.com:8883/",
            false,
            at,
            ("b.example.com", 8883),
        );
        let at = "mqtt://b.example.com:1883";
        check("mqtt://b.example.com", true, at, ("b.example.com", 1883));
        check(
            "mqtt://localhost",
            false,
            "mqtt://localhost:1883",
            ("localhost", 1883),
        );
        check(
            "mqtt://127.8.9.1:99",
            false,
            "mqtt://127.8.9.1:99",
            ("127.8.9.1", 99),
        );
        check("mqtt://[::1]:99", false, "mqtt://[::1]:99", ("::1", 99));
        let at = "mqtts://edge-1.example.com:8883";
        check(
            "mqtts://%{gateway_id}.example.com",
            false,
            at,
            ("edge-1.example.com", 8883),
        );
    }

    #[test]
    fn a_proxy_sees_only_what_is_encrypted_and_goes_out() {
        let check = |url: &str, may: bool| assert_eq!(may_use_proxy(url), may, "{url}");
        check("https://cloud.example.com/", true);
        check("http://cloud.example.com/", false);
        check("http://localhost:9000/", false);
        check("https://localhost:9000/", false);
        check("https://127.0.0.1/", false);
        check("https://[::1]/", false);
    }

    #[test]
    fn other_urls_are_refused_with_their_cure() {
        for (text, leave, expected) in [
            (
                "http://cloud.example.com/",
                false,
                "allow_plain_http = true",
            ),
            (
                "http://localhost.example.com/",
                false,
                "allow_plain_http = true",
            ),
            ("http://192.168.1.2/", false, "allow_plain_http = true"),
            ("mqtt://cloud.example.com", false, "use mqtts://"),
            ("mqtt://192.168.1.2", false, "allow_plain_http = true"),
            (
                "mqtts://cloud.example.com/x",
                true,
                "name the topic in topic",
            ),
            (
                "mqtts://cloud.example.com?x",
                true,
                "name the topic in topic",
            ),
            (
                "mqtts://cloud.example.com/%{token}",
                true,
                "name the topic in topic",
            ),
            (
                "mqtts://user:secret@cloud.example.com",
                true,
                "password_file",
            ),
            ("mqtts://a b", true, "with a fault"),
            ("mqtts://", true, "with a fault: empty host"),
            ("mqtts:cloud.example.com", true, "with a fault: empty host"),
            ("ftp://cloud.example.com", true, "begins with ftp:"),
            ("cloud.example.com/api", true, "without `https://`"),
            ("https://%{token}.example.com/", true, "not in the host"),
            (
                "https://cloud.example.com/%{sensor}",
                true,
                "something else",
            ),
            ("", true, "without `https://`"),
            ("https://", true, "with a fault: empty host"),
            ("https://user@cloud.example.com", true, "bearer_token_file"),
            ("http://user:secret@localhost/", true, "bearer_token_file"),
        ] {
            let message = checked(text, leave).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
            assert!(!message.contains("secret"), "{text}: {message}");
        }
    }
}
