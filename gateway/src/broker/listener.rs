//! Accepting connections. A permit is taken before a socket is, so that there are never too many.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time,
};
use tokio_util::sync::CancellationToken;

use super::{Shared, connection};

/// After a failed accept (no file handles left, say) nobody is accepted for so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts clients until `stop`, then waits until all of them are gone.
pub(super) async fn run(
    listener: TcpListener,
    shared: Arc<Shared>,
    max_connections: usize,
    stop: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(max_connections));
    let mut connections = JoinSet::new();
    loop {
        while let Some(ended) = connections.try_join_next() {
            report(ended);
        }
        let accepted = tokio::select! {
            accepted = accept(&listener, &permits) => accepted,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((socket, peer, permit)) => {
                let (shared, stop) = (Arc::clone(&shared), stop.clone());
                connections.spawn(async move {
                    let (reader, writer) = socket.into_split();
                    connection::serve(reader, writer, peer.ip(), shared, stop).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a client could not be accepted");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(
    TcpStream,
    std::net::SocketAddr,
    tokio::sync::OwnedSemaphorePermit,
)> {
    let permit = Arc::clone(permits)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (socket, peer) = listener.accept().await?;
    socket.set_nodelay(true)?;
    Ok((socket, peer, permit))
}

/// A panic takes down its own connection only, and is not silent.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}
