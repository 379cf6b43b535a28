//! Who may come. Without tokens only the address counts that a request comes from; and no web page from elsewhere may
//! speak through the browser of somebody who may.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::middleware::Next;
use axum::response::Response;

use super::{Shared, problem::Problem};
use crate::access::OwnNames;
use crate::config::Anonymous;
use crate::domain::origin::{Authority, Origin};

/// Lets a request through or refuses it. One whose peer is not known is not from here.
pub(super) async fn admit(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    check_page(request.headers(), &shared.own_names)?;
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let is_local = peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback());
    let may_come = match shared.anonymous {
        Anonymous::Never => false,
        Anonymous::Loopback => is_local,
        Anonymous::Always => true,
    };
    if may_come {
        Ok(next.run(request).await)
    } else {
        Err(Problem::Unauthorized)
    }
}

/// `Origin` is there only if a web page asks: it has to be one of ours. `Host` has to be a name that nobody elsewhere
/// can make point here; where everybody may come anyway, the gateway may have any name.
fn check_page(headers: &HeaderMap, own_names: &OwnNames) -> Result<(), Problem> {
    let Some(host) = text(headers, &header::HOST)? else {
        // No browser leaves it out.
        return match headers.get(header::ORIGIN) {
            None => Ok(()),
            Some(_) => Err(Problem::ForeignPage),
        };
    };
    let host = Authority::new(host).filter(|host| own_names.include(host));
    let host = host.ok_or(Problem::ForeignHost)?;
    match text(headers, &header::ORIGIN)? {
        None => Ok(()),
        Some(origin) => match Origin::new(origin) {
            Some(origin) if origin.is_of(&host) => Ok(()),
            _ => Err(Problem::ForeignPage),
        },
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
        let own_names = OwnNames::new(Anonymous::Loopback, Some("edge-7".into()));
        let check = |host: &str, origin: Option<&str>, passes: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            let checked = check_page(&headers, &own_names);
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
        ] {
            check(ours, None, true);
            check(ours, Some(&format!("http://{ours}")), true);
            check(ours, Some("http://evil.example"), false);
            check(ours, Some("null"), false);
        }
        check("localhost:8080", Some("http://localhost:8081"), false);
        for foreign in [
            "evil.example:8080",
            "localhost.evil.example",
            "edge-8",
            "a b",
        ] {
            check(foreign, None, false);
            check(foreign, Some(&format!("http://{foreign}")), false);
        }
        let none = HeaderMap::new();
        assert!(check_page(&none, &own_names).is_ok());
    }

    #[test]
    fn where_everybody_may_come_any_name_will_do_but_no_page_from_elsewhere() {
        let any_name = OwnNames::new(Anonymous::Always, None);
        let check = |origin: Option<&str>, passes: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "gateway.lan:8080".parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            let checked = check_page(&headers, &any_name);
            assert_eq!(checked.is_ok(), passes, "{origin:?}");
        };
        check(None, true);
        check(Some("http://gateway.lan:8080"), true);
        check(Some("http://evil.example"), false);
    }
}
