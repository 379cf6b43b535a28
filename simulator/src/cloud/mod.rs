//! A reference cloud: what a gateway's uplink delivers to, over HTTPS with a certificate made on
//! the spot. It checks that the gateway keeps the contract, and answers badly when it is told to.
//!
//! It drops what it has seen and counts it; it never answers 2xx for readings it has not kept.

mod answer;
mod certificate;
mod door;
mod listener;
mod script;
mod service;
mod stats;
mod store;
mod submission;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use script::{Plan, PlanError, Script, Step};
pub use stats::{Delivered, Stats};
use tokio::{net::TcpListener, sync::Notify, task::JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    cloud::{certificate::CaFile, door::Door, store::Store},
    tasks, waiting,
};

/// How long requests in flight may take when the cloud ends.
const GRACE: Duration = Duration::from_secs(1);

/// What a cloud is to do. Fill in what differs from the default.
#[derive(Clone, Debug)]
pub struct Cloud {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Plain HTTP instead of HTTPS.
    pub plain: bool,
    /// Offers HTTP/2 to those who come over TLS.
    pub http2: bool,
    /// Where to write the CA certificate; without it, a temporary file that goes with the cloud.
    pub ca_file: Option<PathBuf>,
    /// Answers 401 to requests without `Authorization: Bearer` and this token.
    pub expect_token: Option<String>,
    /// Keeps sensor, value and number of each reading, not only its id.
    pub remember_values: bool,
    /// Answers 413 to a body of more bytes, as it comes over the wire.
    pub max_body_bytes: usize,
}

/// Why a cloud cannot start.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("cannot write the CA certificate to {path}")]
    CaFile { path: PathBuf, source: io::Error },
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

/// A cloud at work. Dropping it ends it at once.
#[derive(Debug)]
pub struct RunningCloud {
    shared: Arc<Shared>,
    address: SocketAddr,
    ca: Option<CaFile>,
    tasks: JoinSet<()>,
}

/// What the requests share.
#[derive(Debug)]
struct Shared {
    store: Mutex<Store>,
    /// Told after each request.
    changed: Notify,
    script: Script,
    door: Arc<Door>,
    expect_token: Option<String>,
    ending: CancellationToken,
}

impl Default for Cloud {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            plain: false,
            http2: true,
            ca_file: None,
            expect_token: None,
            remember_values: true,
            max_body_bytes: 16 * 1024 * 1024,
        }
    }
}

impl Cloud {
    /// Listens, and serves in the background on the current runtime.
    pub async fn start(self) -> Result<RunningCloud, CloudError> {
        let address = self.listen;
        let unbound = |source| CloudError::Listen { address, source };
        let socket = TcpListener::bind(address).await.map_err(unbound)?;
        let address = socket.local_addr().map_err(unbound)?;
        let (tls, ca) = if self.plain {
            (None, None)
        } else {
            let identity = certificate::generate(address.ip(), self.http2)?;
            let ca = CaFile::write(self.ca_file, &identity.ca_pem)?;
            (Some(TlsAcceptor::from(identity.server)), Some(ca))
        };
        let shared = Arc::new(Shared {
            store: Mutex::new(Store::new(self.remember_values)),
            changed: Notify::new(),
            script: Script::new(),
            door: Arc::new(Door::new()),
            expect_token: self.expect_token,
            ending: CancellationToken::new(),
        });
        let (acceptor, ready) = listener::new(socket, tls, shared.door.clone()).map_err(unbound)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(acceptor.run());
        let serving = service::serve(ready, shared.clone(), self.max_body_bytes);
        tasks.spawn(async {
            serving.await.expect("axum's server does not fail");
        });
        Ok(RunningCloud {
            shared,
            address,
            ca,
            tasks,
        })
    }
}

impl RunningCloud {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a gateway's `cloud.url` is to be.
    pub fn url(&self) -> String {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        let ip = self.address.ip();
        if ip.is_loopback() || ip.is_unspecified() {
            return format!("{scheme}://localhost:{}/api/sync", self.address.port());
        }
        format!("{scheme}://{}/api/sync", self.address)
    }

    /// What a gateway's `cloud.ca_file` is to be; `None` over plain HTTP.
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca.as_ref().map(CaFile::path)
    }

    /// The counts of this moment.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// The ids stored, in order; of several gateways an id may come more than once.
    pub fn delivered_ids(&self) -> Vec<i64> {
        self.shared.store().ids()
    }

    /// The readings stored, by gateway, store and id; none unless `remember_values`.
    pub fn delivered(&self) -> Vec<Delivered> {
        self.shared.store().delivered()
    }

    /// What it is to answer.
    pub fn script(&self) -> &Script {
        &self.shared.script
    }

    /// During an outage connections are closed as soon as they are accepted; those that exist are
    /// cut when it begins.
    pub fn set_outage(&self, outage: bool) {
        if outage {
            self.shared.door.shut();
        } else {
            self.shared.door.open_again();
        }
    }

    /// Waits until `wanted` holds of the counts; `Err` carries them when `limit` has passed.
    pub async fn wait_for(
        &self,
        wanted: impl Fn(&Stats) -> bool,
        limit: Duration,
    ) -> Result<Stats, Stats> {
        let shared = &self.shared;
        waiting::until(&shared.changed, limit, || shared.stats(), wanted).await
    }

    /// Accepts no more, lets requests in flight finish within a second, cuts the rest.
    pub async fn shutdown(mut self) -> Stats {
        self.shared.ending.cancel();
        if !tasks::join(&mut self.tasks, GRACE).await {
            self.shared.door.shut();
            tasks::join(&mut self.tasks, GRACE).await;
        }
        self.shared.stats()
    }
}

impl Drop for RunningCloud {
    /// Connections are tasks of axum's, out of the reach of `tasks`.
    fn drop(&mut self) {
        self.shared.ending.cancel();
        self.shared.door.shut();
    }
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stats(&self) -> Stats {
        self.store().stats.clone()
    }
}
