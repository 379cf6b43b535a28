//! Clients that come over the port of HTTP: their handshake is done, the rest is as with any other WebSocket.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::connection::Caller;
use super::{Shared, listener::report, websocket};
use crate::access::Guest;
use crate::metrics::Limit;

/// Serves guests until `stop`, then waits until all of them are gone.
pub(super) async fn run(
    mut guests: mpsc::Receiver<Guest>,
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let guest = tokio::select! {
            guest = guests.recv() => guest,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            () = stop.cancelled() => break,
        };
        let Some(guest) = guest else {
            break;
        };
        let (shared, permits, stop) = (Arc::clone(&shared), Arc::clone(&permits), stop.clone());
        connections.spawn(serve(guest, shared, permits, stop));
    }
    drop(guests);
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
}

async fn serve(
    guest: Guest,
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
    stop: CancellationToken,
) {
    let peer = guest.peer;
    let Some(place) = shared.addresses.enter(peer.ip()) else {
        return shared.metrics.limited(Limit::ConnectionsPerAddress);
    };
    if place.is_one_too_many {
        shared.metrics.limited(Limit::ConnectionsPerAddress);
    }
    if permits.available_permits() == 0 {
        shared.metrics.limited(Limit::MaxConnections);
    }
    let enter = async {
        let permit = permits.acquire_owned().await.ok()?;
        let upgraded = time::timeout(shared.limits.connect_timeout, guest.upgrade);
        Some((permit, upgraded.await.ok()?.ok()?))
    };
    let entered = tokio::select! {
        entered = enter => entered,
        () = stop.cancelled() => return,
    };
    let Some((permit, socket)) = entered else {
        return tracing::debug!(%peer, "no WebSocket was made");
    };
    let caller = Caller {
        address: peer.ip(),
        certified: None,
        guest: Some(guest.identity),
        is_one_too_many: place.is_one_too_many,
    };
    Box::pin(websocket::run(socket, Vec::new(), caller, shared, stop)).await;
    drop((permit, place));
}
