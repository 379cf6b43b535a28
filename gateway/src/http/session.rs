//! `/api/v1/session`: who a visitor is; a page that has been given a token keeps it in a cookie that no script can read.
//!
//! The cookie is the token: it ends when the token is removed, outlives restarts, and there is no list of sessions to keep.
//! It goes to no other site (`SameSite=Strict`), and a request from a page elsewhere is refused by its `Origin` anyway.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::{Peer, cookie_name, cookie_token};
use super::openapi::shapes;
use super::{Shared, body, problem::Problem};
use crate::access::{Role, Visitor};
use crate::config::Anonymous;

/// Seconds: 400 days, the longest that browsers keep a cookie (RFC 6265bis, section 5.5). Each visit begins them anew.
const MAX_AGE: u32 = 400 * 24 * 60 * 60;

#[derive(Serialize, ToSchema)]
struct Session<'v> {
    /// The token's name; null for who came without one.
    name: Option<&'v str>,
    #[schema(value_type = shapes::Role)]
    role: Role,
}

/// Who asks.
#[utoipa::path(
    get, path = "/api/v1/session", tag = "gateway",
    responses((status = 200, description = "Who asks", body = Session<'static>), (status = 401, description = "A token is needed, or this is none")),
)]
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Problem> {
    let (headers, extensions) = (request.headers(), request.extensions());
    let visitor = shared.visitor(headers, extensions)?;
    let is_tls = is_tls(&request);
    let token = cookie_token(headers, is_tls).filter(|_| visitor.name().is_some());
    answer(&visitor, token.map(|token| (token, is_tls)))
}

#[derive(Deserialize, ToSchema)]
struct Login {
    token: String,
}

/// Takes a token and has the browser keep it.
#[utoipa::path(
    post, path = "/api/v1/session", tag = "gateway", request_body = Login,
    responses((status = 200, description = "The browser keeps it in a cookie", body = Session<'static>), (status = 401, description = "A token is needed, or this is none")),
)]
pub(super) async fn begin(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Problem> {
    let peer = request.extensions().get::<Peer>().copied();
    let peer = peer.ok_or(Problem::Unauthorized)?;
    let body = body::read_json(request).await?;
    let login: Login = serde_json::from_slice(&body)
        .map_err(|_| Problem::NotJson("expected {\"token\":\"…\"}".to_owned()))?;
    let token = login.token.trim();
    let welcomed = shared
        .access
        .welcome(peer.address.ip(), Anonymous::Never, Some(token));
    let visitor = welcomed.map_err(|_| Problem::WrongToken)?;
    answer(&visitor, Some((token, peer.is_tls)))
}

/// Has the browser forget it.
#[utoipa::path(
    delete, path = "/api/v1/session", tag = "gateway",
    responses((status = 204, description = "The browser forgets it")),
)]
pub(super) async fn end(request: Request) -> Result<Response, Problem> {
    let cookie = cookie("", is_tls(&request), 0)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

fn answer(visitor: &Visitor, keep: Option<(&str, bool)>) -> Result<Response, Problem> {
    let session = Session {
        name: visitor.name(),
        role: visitor.role(),
    };
    let mut response = Json(session).into_response();
    if let Some((token, is_tls)) = keep {
        let cookie = cookie(token, is_tls, MAX_AGE)?;
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

fn is_tls(request: &Request) -> bool {
    let peer = request.extensions().get::<Peer>();
    peer.is_some_and(|peer| peer.is_tls)
}

fn cookie(token: &str, is_tls: bool, max_age: u32) -> Result<HeaderValue, Problem> {
    let (name, secure) = (cookie_name(is_tls), if is_tls { "; Secure" } else { "" });
    let text =
        format!("{name}={token}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}");
    let mut value = HeaderValue::try_from(text).map_err(Problem::internal)?;
    value.set_sensitive(true);
    Ok(value)
}
