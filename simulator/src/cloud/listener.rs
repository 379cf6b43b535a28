//! Accepting connections. A handshake runs in a task of its own: a silent client holds up nobody.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::serve::Listener;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time,
};
use tokio_rustls::TlsAcceptor;

use crate::cloud::door::{Connection, Door};

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Handshakes at the same time; who comes beyond waits in the socket's own queue.
const MOST_HANDSHAKES: usize = 512;
const QUEUE: usize = 64;
/// Accepting fails when file descriptors run out, and would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Accepted = (Connection, SocketAddr);

/// Takes connections from the socket until the [`Ready`] end is dropped.
pub(super) struct Acceptor {
    socket: TcpListener,
    /// `None` for plain HTTP.
    tls: Option<TlsAcceptor>,
    door: Arc<Door>,
    ready: mpsc::Sender<Accepted>,
}

/// The connections that are ready for HTTP.
pub(super) struct Ready {
    accepted: mpsc::Receiver<Accepted>,
    address: SocketAddr,
}

/// An acceptor and what it feeds.
pub(super) fn new(
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    door: Arc<Door>,
) -> io::Result<(Acceptor, Ready)> {
    let address = socket.local_addr()?;
    let (ready, accepted) = mpsc::channel(QUEUE);
    let acceptor = Acceptor {
        socket,
        tls,
        door,
        ready,
    };
    Ok((acceptor, Ready { accepted, address }))
}

impl Acceptor {
    pub(super) async fn run(self) {
        let mut handshakes = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.socket.accept(), if handshakes.len() < MOST_HANDSHAKES => match accepted {
                    Ok((stream, peer)) => {
                        if let Some(handshake) = self.handshake(stream, peer) {
                            handshakes.spawn(handshake);
                        }
                    }
                    Err(_) => time::sleep(ACCEPT_PAUSE).await,
                },
                Some(_) = handshakes.join_next() => {}
                () = self.ready.closed() => return,
            }
        }
    }

    /// Makes the connection ready and hands it on; `None` if nobody may come in.
    fn handshake(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        let cut = self.door.admit()?;
        let (tls, ready) = (self.tls.clone(), self.ready.clone());
        Some(async move {
            // A connection that is gone already shows it at the first read.
            stream.set_nodelay(true).ok();
            let over = cut.clone();
            let made = async {
                match tls {
                    None => Some(Connection::new(Box::new(stream), cut)),
                    Some(tls) => {
                        let limited = time::timeout(HANDSHAKE_LIMIT, tls.accept(stream));
                        let stream = limited.await.ok()?.ok()?;
                        Some(Connection::new(Box::new(stream), cut))
                    }
                }
            };
            let made = over.run_until_cancelled(made).await.flatten();
            if let Some(connection) = made {
                ready.send((connection, peer)).await.ok();
            }
        })
    }
}

impl Listener for Ready {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.accepted.recv().await {
            Some(accepted) => accepted,
            // The acceptor is gone, so the cloud is ending.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
