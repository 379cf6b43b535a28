//! The request that opens a WebSocket (RFC 6455, section 4.2.1): what it has to be, and why it is refused.

use super::Pages;
use crate::domain::origin::{Authority, Origin};

/// Of MQTT over WebSocket (MQTT 5.0, section 6).
pub(super) const SUBPROTOCOL: &str = "mqtt";
const PATH: &str = "/mqtt";
const MAX_HEADERS: usize = 64;
/// 16 bytes in base 64.
const KEY_BYTES: usize = 24;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Malformed(&'static str),
    TooLong,
    NotFound,
    Method,
    /// It is HTTP, but asks for no WebSocket.
    NoUpgrade,
    Version,
    Subprotocol,
    /// From a page that is neither ours nor listed.
    ForeignPage(String),
}

impl Refusal {
    /// Status, further headers, and what is said about it.
    pub(super) fn answer(&self) -> (&'static str, &'static str, &'static str) {
        const BAD: &str = "400 Bad Request";
        match self {
            Self::Malformed(why) => (BAD, "", why),
            Self::TooLong => (
                "431 Request Header Fields Too Large",
                "",
                "the head of the request is too long",
            ),
            Self::NotFound => ("404 Not Found", "", "MQTT is at /mqtt"),
            Self::Method => ("405 Method Not Allowed", "Allow: GET\r\n", "ask with GET"),
            Self::NoUpgrade => (
                "426 Upgrade Required",
                "Upgrade: websocket\r\n",
                "here is MQTT over WebSocket only",
            ),
            Self::Version => (
                "426 Upgrade Required",
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
                "the version of WebSocket here is 13",
            ),
            Self::Subprotocol => (BAD, "", "offer the subprotocol mqtt"),
            Self::ForeignPage(_) => (
                "403 Forbidden",
                "",
                "the origin of this page is not in mqtt.allowed_origins",
            ),
        }
    }
}

/// The key of a request that may have its WebSocket. `head` is all of it, with the empty line at its end.
pub(super) fn judge(head: &[u8], pages: &Pages) -> Result<String, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLong),
        Ok(httparse::Status::Partial) | Err(_) => {
            return Err(Refusal::Malformed("this is no HTTP request"));
        }
    }
    let target = request.path.unwrap_or_default();
    if target.split('?').next() != Some(PATH) {
        return Err(Refusal::NotFound);
    }
    if request.method != Some("GET") {
        return Err(Refusal::Method);
    }
    if request.version != Some(1) {
        return Err(Refusal::Malformed("the version of HTTP here is 1.1"));
    }
    let headers = Headers(request.headers);
    let is_upgrade = headers.has_word("connection", |word| word.eq_ignore_ascii_case("upgrade"))
        && headers.has_word("upgrade", |word| word.eq_ignore_ascii_case("websocket"));
    if !is_upgrade {
        return Err(Refusal::NoUpgrade);
    }
    if headers.only("sec-websocket-version")? != Some("13") {
        return Err(Refusal::Version);
    }
    check_page(&headers, pages)?;
    let key = headers.only("sec-websocket-key")?;
    let Some(key) = key.filter(|key| is_key(key)) else {
        return Err(Refusal::Malformed("Sec-WebSocket-Key is missing or wrong"));
    };
    if !headers.has_word("sec-websocket-protocol", |word| word == SUBPROTOCOL) {
        return Err(Refusal::Subprotocol);
    }
    Ok(key.to_owned())
}

/// Programs send no `Origin`, browsers always do. The page has to be listed, or to come from the address at which it now
/// asks, and nobody elsewhere may be able to make that address lead here.
fn check_page(headers: &Headers<'_>, pages: &Pages) -> Result<(), Refusal> {
    let Some(host) = headers.only("host")? else {
        return Err(Refusal::Malformed("Host is missing"));
    };
    let Some(text) = headers.only("origin")? else {
        return Ok(());
    };
    let origin = Origin::new(text).filter(|origin| {
        let is_own = |host| origin.is_of(&host) && pages.own_names.include(&host);
        pages.allowed.contains(origin) || Authority::new(host).is_some_and(is_own)
    });
    match origin {
        Some(_) => Ok(()),
        None => Err(Refusal::ForeignPage(text.to_owned())),
    }
}

fn is_key(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    match text.strip_suffix("==") {
        Some(digits) => text.len() == KEY_BYTES && digits.bytes().all(is_digit),
        None => false,
    }
}

struct Headers<'h>(&'h [httparse::Header<'h>]);

impl<'h> Headers<'h> {
    fn all(&self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        let named = |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case(name);
        self.0.iter().filter(named).map(|header| header.value)
    }

    /// A header that must not be there twice.
    fn only(&self, name: &str) -> Result<Option<&'h str>, Refusal> {
        let mut values = self.all(name);
        match (values.next().map(str::from_utf8).transpose(), values.next()) {
            (Ok(value), None) => Ok(value),
            _ => Err(Refusal::Malformed("a header is there twice, or no text")),
        }
    }

    /// Whether one of the words of a list, which may be spread over several headers, is as wanted.
    fn has_word(&self, name: &str, is_wanted: impl Fn(&str) -> bool) -> bool {
        let lists = self.all(name).filter_map(|list| str::from_utf8(list).ok());
        lists
            .flat_map(|list| list.split(','))
            .any(|word| is_wanted(word.trim()))
    }
}

#[cfg(test)]
mod tests;
