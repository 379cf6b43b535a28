//! Accepting connections, plain or over TLS, with or without WebSocket. None is served without a permit, so that there are never too many; all
//! listeners take theirs from the same.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::connection::{self, Caller};
use super::websocket::{self, Pages};
use crate::access::Identity;
use crate::metrics::Limit;
use crate::tls::Server;

/// After a failed accept (no file handles left, say) nobody is accepted for so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How clients come in.
#[derive(Clone, Default)]
pub(super) struct Door {
    /// `None`: without TLS.
    pub(super) tls: Option<Arc<Server>>,
    /// Whose web pages may come over WebSocket; `None`: without WebSocket.
    pub(super) pages: Option<Arc<Pages>>,
}

/// Accepts clients until `stop`, then waits until all of them are gone.
pub(super) async fn run(
    listener: TcpListener,
    door: Door,
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        while let Some(ended) = connections.try_join_next() {
            report(ended);
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            () = stop.cancelled() => break,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a client could not be accepted");
                time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = shared.addresses.enter(peer.ip());
        let is_one_too_many = place.as_ref().is_none_or(|place| place.is_one_too_many);
        if is_one_too_many {
            shared.metrics.limited(Limit::ConnectionsPerAddress);
        }
        let Some(place) = place else {
            continue;
        };
        // Not before the accept: a listener to which nobody comes would keep the permit from the others.
        if permits.available_permits() == 0 {
            shared.metrics.limited(Limit::MaxConnections);
        }
        let permit = tokio::select! {
            permit = Arc::clone(&permits).acquire_owned() => permit,
            () = stop.cancelled() => break,
        };
        let (door, shared, stop) = (door.clone(), Arc::clone(&shared), stop.clone());
        connections.spawn(async move {
            serve(socket, peer, is_one_too_many, door, shared, stop).await;
            drop((permit, place));
        });
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
}

async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    is_one_too_many: bool,
    door: Door,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    if let Err(error) = socket.set_nodelay(true) {
        return tracing::debug!(%peer, %error, "the socket is gone");
    }
    let mut caller = Caller {
        address: peer.ip(),
        certified: None,
        guest: None,
        is_one_too_many,
    };
    let Some(server) = door.tls else {
        if let Some(pages) = door.pages {
            let served = websocket::serve(socket, peer, &pages, caller, shared, stop);
            return Box::pin(served).await;
        }
        let (reader, writer) = socket.into_split();
        return connection::serve(reader, writer, caller, shared, stop).await;
    };
    // This and what is served over WebSocket is boxed, so that no other client's task has room for it.
    let shake_hands = Box::pin(async {
        let (stream, name) = server.accept(socket).await?;
        io::Result::Ok((Box::new(stream), name))
    });
    let shaken = tokio::select! {
        shaken = time::timeout(shared.limits.connect_timeout, shake_hands) => shaken,
        () = stop.cancelled() => return,
    };
    match shaken {
        Ok(Ok((stream, name))) => {
            caller.certified = name.as_deref().map(Identity::of_certificate);
            if let Some(pages) = door.pages {
                let served = websocket::serve(stream, peer, &pages, caller, shared, stop);
                return Box::pin(served).await;
            }
            let (reader, writer) = tokio::io::split(stream);
            connection::serve(reader, writer, caller, shared, stop).await;
        }
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS connection was made"),
        Err(_) => {
            shared.metrics.limited(Limit::ConnectTimeout);
            tracing::debug!(%peer, "no TLS handshake in time");
        }
    }
}

/// A panic takes down its own connection only, and is not silent.
pub(super) fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}
