//! Who may come. Without tokens only the address counts that a request comes from.

use std::{net::SocketAddr, sync::Arc};

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::{Shared, problem::Problem};
use crate::config::Anonymous;

/// Lets a request through or refuses it. One whose peer is not known is not from here.
pub(super) async fn admit(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
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
