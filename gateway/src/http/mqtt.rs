//! `/mqtt`: MQTT over WebSocket on the port of HTTP, for pages that are let in already (RFC 6455, section 4.2; MQTT 5.0,
//! section 6). The broker has it from there on.

use std::io;
use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper_util::rt::TokioIo;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::access::Peer;
use super::{Shared, problem::Problem};
use crate::access::{Guest, Socket, Visitor};

/// RFC 6455, section 1.3.
const KEY_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY_BYTES: usize = 16;
const VERSION: &str = "13";
const SUBPROTOCOL: &str = "mqtt";

/// Makes a WebSocket of the connection and hands it to the broker.
#[utoipa::path(
    get, path = "/mqtt", tag = "gateway",
    responses(
        (status = 101, description = "MQTT over WebSocket, subprotocol `mqtt`"),
        (status = 400, description = "The handshake is wrong"),
        (status = 426, description = "A WebSocket is not asked for"),
    ),
)]
pub(super) async fn enter(
    State(shared): State<Arc<Shared>>,
    Extension(visitor): Extension<Visitor>,
    mut request: Request,
) -> Result<Response, Problem> {
    let accept = judge(request.headers())?;
    let upgrade = hyper::upgrade::on(&mut request);
    let peer = request.extensions().get::<Peer>();
    let guest = Guest {
        upgrade: Box::pin(async {
            let upgraded = upgrade.await.map_err(io::Error::other)?;
            Ok(Box::new(TokioIo::new(upgraded)) as Box<dyn Socket>)
        }),
        peer: peer.ok_or(Problem::Unauthorized)?.address,
        identity: visitor.into_identity(),
    };
    shared.guests.try_send(guest).map_err(|_| Problem::Busy)?;
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
        (
            header::SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(SUBPROTOCOL),
        ),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// What answers the key of a handshake that is as it should be.
fn judge(headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    let is_upgrade = has_word(headers, &header::CONNECTION, "upgrade")
        && has_word(headers, &header::UPGRADE, "websocket");
    let version = headers.get(header::SEC_WEBSOCKET_VERSION);
    if !is_upgrade || version.is_none_or(|version| version != VERSION) {
        return Err(Problem::NoUpgrade);
    }
    if !has_word(headers, &header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err(Problem::BadHandshake("offer the subprotocol mqtt"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let key = key.and_then(|key| key.to_str().ok());
    let is_key = |key: &&str| STANDARD.decode(key).is_ok_and(|key| key.len() == KEY_BYTES);
    let key = key.filter(is_key);
    let key = key.ok_or(Problem::BadHandshake(
        "Sec-WebSocket-Key is missing or wrong",
    ))?;
    let hash = digest(
        &SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}{KEY_SUFFIX}").as_bytes(),
    );
    HeaderValue::try_from(STANDARD.encode(hash)).map_err(Problem::internal)
}

/// Whether a word stands in a list, which may be spread over several headers.
fn has_word(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let lists = headers
        .get_all(name)
        .iter()
        .filter_map(|list| list.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .any(|found| found.trim().eq_ignore_ascii_case(word))
}
