//! Connections: who is let in, how long a head may take, and how each one ends.
//!
//! At a stop a connection on which nothing is in flight is closed at once, also if half a head has come; what is in
//! flight is finished. When [`serve`] returns no connection is left, and nobody holds a way to the committer any more.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::access::Peer;
use super::line::{Answering, Flight, Line};
use crate::tls::Server;

/// Connections at the same time; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 1000;

/// How long a client may take to send the head of a request, and to keep a connection without one.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// After an error of accepting, such as no free file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, then finishes what is in flight.
pub(super) async fn serve(
    plain: TcpListener,
    tls: Option<(TcpListener, Arc<Server>)>,
    router: Router,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let plain = run(plain, None, router.clone(), Arc::clone(&places), &stop);
    match tls {
        None => plain.await,
        Some((listener, server)) => {
            tokio::join!(plain, run(listener, Some(server), router, places, &stop));
        }
    }
}

async fn run(
    listener: TcpListener,
    tls: Option<Arc<Server>>,
    router: Router,
    places: Arc<Semaphore>,
    stop: &CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((socket, address, place)) => {
                let (tls, router, stop) = (tls.clone(), router.clone(), stop.clone());
                connections.spawn(async move {
                    welcome(socket, address, tls, router, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an HTTP client could not be accepted");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop((listener, router));
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (socket, peer) = listener.accept().await?;
    Ok((socket, peer, place))
}

/// A panic takes down its own connection only, and is not silent.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "an HTTP connection's task failed");
    }
}

/// Serves one connection, from the TLS handshake on if there is one.
async fn welcome(
    socket: TcpStream,
    address: SocketAddr,
    tls: Option<Arc<Server>>,
    router: Router,
    stop: CancellationToken,
) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a socket keeps its delay");
    }
    let mut peer = Peer {
        address,
        is_tls: tls.is_some(),
        is_certified: false,
    };
    let Some(server) = tls else {
        return attend(socket, peer, router, stop).await;
    };
    let shaken = tokio::select! {
        shaken = time::timeout(HEAD_PATIENCE, server.accept(socket)) => shaken,
        () = stop.cancelled() => return,
    };
    match shaken {
        Ok(Ok((stream, name))) => {
            peer.is_certified = name.is_some();
            attend(Box::new(stream), peer, router, stop).await;
        }
        Ok(Err(error)) => tracing::debug!(%address, %error, "no TLS connection was made"),
        Err(_) => tracing::debug!(%address, "no TLS handshake in time"),
    }
}

async fn attend<S>(socket: S, peer: Peer, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let flight = Arc::<Flight>::default();
    let line = Line::new(socket, Arc::clone(&flight));
    let (router, counted) = (TowerToHyperService::new(router), Arc::clone(&flight));
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let answering = Answering::begin(&counted);
        let answer = router.call(request);
        async move {
            let answer = answer.await;
            drop(answering);
            answer
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
            .serve_connection(TokioIo::new(line), service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            // The flight is looked at after a turn of the connection: then what could be written is written.
            poll_fn(|context| match connection.as_mut().poll(context) {
                Poll::Pending if flight.is_over() => Poll::Ready(Ok(())),
                turn => turn,
            })
            .await
        }
    };
    // What has become of it, a WebSocket say, has a patience of its own.
    flight.end();
    if let Err(error) = ended {
        tracing::debug!(peer = %peer.address, %error, "an HTTP connection broke");
    }
}
