//! An uplink's URL: encrypted unless it stays on this machine or the operator says otherwise.
//! Its text is never repeated in a message: it may hold a secret.

use url::{Host, ParseError, Url};

use crate::config::Uplink;
use crate::config::kinds::unexpected;
use crate::config::value::Value;

const EXPECTED: &str = "a URL such as \"https://cloud.example.com/api/sync\"";
const LATER_SCHEMES: &[&str] = &["mqtt", "mqtts"];

/// Stands for the gateway's name.
const GATEWAY_ID: &str = "%{gateway_id}";

/// Stands for the token while the URL is parsed, which would escape its braces.
const MARK: &str = "edge-gateway-token";

/// Checks a URL and puts the gateway's name into it; `leave` is the operator's leave to send unencrypted over the network.
pub(super) fn check(value: &Value, leave: bool, gateway_id: &str) -> Result<Box<str>, String> {
    let (Value::Text(text) | Value::Raw(text)) = value else {
        return Err(unexpected(EXPECTED, value));
    };
    let marked = text.replace(GATEWAY_ID, gateway_id);
    let marked = marked.replace(Uplink::TOKEN, MARK);
    if marked.contains("%{") {
        return Err("holds something else between %{ and } than gateway_id or token".to_owned());
    }
    let url = Url::parse(&marked).map_err(|error| match error {
        ParseError::RelativeUrlWithoutBase => {
            format!("expected {EXPECTED}, found a text without `https://`")
        }
        error => format!("expected {EXPECTED}, found one with a fault: {error}"),
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "user and password do not belong into the URL: put a token into a file and name it in \
                    bearer_token_file"
                .to_owned(),
        );
    }
    if url.authority().contains(MARK) {
        return Err("the token may stand in the path or the query, not in the host".to_owned());
    }
    let checked = || url.as_str().replace(MARK, Uplink::TOKEN).into();
    match url.scheme() {
        "https" => Ok(checked()),
        "http" if leave || is_loopback(&url) => Ok(checked()),
        "http" => Err("http:// would send readings unencrypted: use https://, or set allow_plain_http = true \
                       if the network between is safe"
            .to_owned()),
        scheme if LATER_SCHEMES.contains(&scheme) => Err(format!(
            "{scheme}:// is not yet supported by this version: expected {EXPECTED}"
        )),
        scheme => Err(format!("expected {EXPECTED}, found one that begins with {scheme}:")),
    }
}

/// Whether a checked URL may be reached by way of a proxy.
pub(super) fn may_use_proxy(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "https" && !is_loopback(&url))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str, leave: bool) -> Result<Box<str>, String> {
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
            assert_eq!(checked(text, leave).as_deref(), Ok(expected), "{text}");
        }
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
            ("mqtts://cloud.example.com", true, "not yet"),
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
