//! Who may come, and who may do what: by token, in a header or a cookie, or by the address that a request comes from. No web
//! page from elsewhere may speak through the browser of somebody who may.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Extensions, HeaderMap, HeaderName, Method, header};
use axum::middleware::Next;
use axum::response::Response;

use super::{Shared, problem::Problem};
use crate::access::{OwnNames, Role, Unwelcome, Visitor};
use crate::config::Anonymous;
use crate::domain::origin::{Authority, Origin};

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) is_tls: bool,
    /// It has shown a certificate of the authority that is trusted.
    pub(super) is_certified: bool,
}

/// Whose pages may ask, and under which names the gateway may be called.
#[derive(Clone, Debug)]
pub(super) struct Pages {
    pub(super) own_names: OwnNames,
    pub(super) allowed: Vec<Origin>,
}

/// Lets a request through that no web page from elsewhere makes.
pub(super) async fn admit_page(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    shared.pages.check(request.headers())?;
    Ok(next.run(request).await)
}

/// The same, if its visitor may do what it asks for as well; says who that is.
pub(super) async fn admit(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    shared.pages.check(request.headers())?;
    let visitor = shared.visitor(request.headers(), request.extensions())?;
    let needed = needed_role(request.method(), request.uri().path());
    if visitor.role() < needed {
        return Err(Problem::NotAllowed {
            has: visitor.role(),
            needed,
        });
    }
    request.extensions_mut().insert(visitor);
    Ok(next.run(request).await)
}

/// What nobody thought of here is for administrators.
fn needed_role(method: &Method, path: &str) -> Role {
    let is_write = || path == "/data" || path == "/status" || path.ends_with("/ack");
    match *method {
        Method::GET | Method::HEAD => Role::Read,
        Method::POST if is_write() => Role::Write,
        _ => Role::Admin,
    }
}

impl Shared {
    /// Who asks. One whose peer is not known is not from here.
    pub(super) fn visitor(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Visitor, Problem> {
        let peer = extensions.get::<Peer>().ok_or(Problem::Unauthorized)?;
        let anonymous = self.anonymous_from(peer);
        let welcome = |token| {
            let ip = peer.address.ip();
            self.access.welcome(ip, anonymous, token)
        };
        let welcomed = match bearer_token(headers) {
            Some(token) => welcome(Some(token)),
            // A cookie may be older than its token: its browser comes as any other.
            None => match cookie_token(headers, peer.is_tls) {
                Some(token) => welcome(Some(token)).or_else(|_| welcome(None)),
                None => welcome(None),
            },
        };
        welcomed.map_err(|unwelcome| match unwelcome {
            Unwelcome::Token => Problem::WrongToken,
            Unwelcome::Anonymous => Problem::Unauthorized,
        })
    }

    /// Where there are no tokens a certificate takes their place.
    fn anonymous_from(&self, peer: &Peer) -> Anonymous {
        if peer.is_certified && !self.access.has_tokens() {
            Anonymous::Always
        } else {
            self.anonymous
        }
    }
}

/// RFC 6750, section 2.1. Other schemes are for somebody else.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// The name of the cookie that has the token of a page. One over TLS cannot be set or overwritten without it
/// (RFC 6265bis, section 4.1.3.2).
pub(super) const fn cookie_name(is_tls: bool) -> &'static str {
    if is_tls {
        "__Host-edge-gateway-token"
    } else {
        "edge-gateway-token"
    }
}

/// The token in a page's cookie.
pub(super) fn cookie_token(headers: &HeaderMap, is_tls: bool) -> Option<&str> {
    let lists = headers.get_all(header::COOKIE).iter();
    let pairs = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == cookie_name(is_tls))
        .map(|(_, token)| token)
}

impl Pages {
    /// `Origin` is there only if a web page asks: it has to be one of ours, or one that is allowed. `Host` has to be a name
    /// that nobody elsewhere can make point here; where everybody may come anyway, the gateway may have any name.
    fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(host) = text(headers, &header::HOST)? else {
            // No browser leaves it out.
            return match headers.get(header::ORIGIN) {
                None => Ok(()),
                Some(_) => Err(Problem::ForeignPage),
            };
        };
        let host = Authority::new(host).filter(|host| self.is_own(host));
        let host = host.ok_or(Problem::ForeignHost)?;
        match text(headers, &header::ORIGIN)? {
            None => Ok(()),
            Some(origin) => match Origin::new(origin) {
                Some(origin) if origin.is_of(&host) || self.allowed.contains(&origin) => Ok(()),
                _ => Err(Problem::ForeignPage),
            },
        }
    }

    fn is_own(&self, host: &Authority) -> bool {
        let mut allowed = self.allowed.iter();
        self.own_names.include(host) || allowed.any(|origin| origin.is_of(host))
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    match (first.map(|value| value.to_str()).transpose(), second) {
        (Ok(text), None) => Ok(text),
        _ => Err(Problem::ForeignHost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_page_from_elsewhere_may_ask() {
        let pages = Pages {
            own_names: OwnNames::new(Anonymous::Loopback, Some("edge-7".into())),
            allowed: vec![Origin::new("https://plant.example:8443").unwrap()],
        };
        let check = |host: &str, origin: Option<&str>, passes: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            let checked = pages.check(&headers);
            assert_eq!(checked.is_ok(), passes, "{host} {origin:?}");
        };
        for ours in [
            "127.0.0.1:8080",
            "127.0.0.1",
            "192.0.2.7:8080",
            "[::1]:8080",
            "localhost:9",
            "LocalHost",
            "Edge-7:8080",
            "edge-7.local",
            "plant.example:8443",
        ] {
            check(ours, None, true);
            check(ours, Some(&format!("http://{ours}")), true);
            check(ours, Some("https://plant.example:8443"), true);
            check(ours, Some("http://evil.example"), false);
            check(ours, Some("null"), false);
        }
        check("localhost:8080", Some("http://localhost:8081"), false);
        for foreign in [
            "evil.example:8080",
            "localhost.evil.example",
            "edge-8",
            "edge-8.local",
            "plant.example:8080",
            "a b",
        ] {
            check(foreign, None, false);
            check(foreign, Some(&format!("http://{foreign}")), false);
        }
        let none = HeaderMap::new();
        assert!(pages.check(&none).is_ok());
    }

    #[test]
    fn where_everybody_may_come_any_name_will_do_but_no_page_from_elsewhere() {
        let pages = Pages {
            own_names: OwnNames::new(Anonymous::Always, None),
            allowed: Vec::new(),
        };
        let check = |origin: Option<&str>, passes: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "gateway.lan:8080".parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            let checked = pages.check(&headers);
            assert_eq!(checked.is_ok(), passes, "{origin:?}");
        };
        check(None, true);
        check(Some("http://gateway.lan:8080"), true);
        check(Some("http://evil.example"), false);
    }
}
