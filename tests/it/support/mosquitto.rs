//! Mosquitto as the broker that a gateway forwards to, and somebody who listens there.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::frames::{Connect, V311};
use super::raw::Raw;
use super::wait_until;

/// A broker on an address of its own, which it has again after a restart.
pub(crate) struct Mosquitto {
    folder: TempDir,
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Mosquitto {
    /// Lets everybody in.
    pub(crate) fn start() -> Self {
        Self::with(|_, _| "allow_anonymous true\n".to_owned())
    }

    /// Further settings, made of its folder and its address.
    pub(crate) fn with(settings: impl FnOnce(&Path, SocketAddr) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c] = [(); 3].map(|()| fastrand::u8(1..255));
        let address: SocketAddr = format!("127.{a}.{b}.{c}:1883").parse().unwrap();
        // Sessions are saved at each change: it is killed. Started as root it would become another user, to whom the
        // folder is closed.
        let config = format!(
            "listener {} {}\n{}user root\npersistence true\npersistence_location {}/\nautosave_on_changes true\n\
             autosave_interval 1\nmax_inflight_messages 0\nmax_queued_messages 0\nlog_dest none\n",
            address.port(),
            address.ip(),
            settings(folder.path(), address),
            folder.path().display(),
        );
        std::fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        let child = spawn(folder.path(), address);
        Self {
            folder,
            address,
            child,
        }
    }

    /// Pulls the plug: SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// After [`kill`](Self::kill).
    pub(crate) fn restart(&mut self) {
        self.child = spawn(self.folder.path(), self.address);
    }

    /// The section of a gateway that delivers there.
    pub(crate) fn section(&self, keys: &str) -> String {
        section(&format!("mqtt://{}", self.address), keys)
    }

    /// A client there.
    pub(crate) fn client(&self, client_id: &str) -> Raw {
        let socket = TcpStream::connect(self.address).unwrap();
        let client = Raw::over(socket, V311, |socket| Box::new(socket));
        client.let_in(&Connect::new(V311, client_id))
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// `[cloud]` for a broker, with further keys.
pub(crate) fn section(url: &str, keys: &str) -> String {
    format!(
        "[cloud]\nurl = {url:?}\nbatch_linger = \"0ms\"\nretry_initial = \"50ms\"\nretry_max = \"200ms\"\n{keys}"
    )
}

/// Users of a broker: the settings that name them.
pub(crate) fn users(folder: &Path, users: &[(&str, &str)]) -> String {
    let file = folder.join("passwd");
    let lines: String = users
        .iter()
        .map(|(name, password)| format!("{name}:{password}\n"))
        .collect();
    std::fs::write(&file, lines).unwrap();
    let hashed = Command::new("mosquitto_passwd")
        .arg("-U")
        .arg(&file)
        .status()
        .unwrap();
    assert!(hashed.success());
    format!("allow_anonymous false\npassword_file {}\n", file.display())
}

fn spawn(folder: &Path, address: SocketAddr) -> Child {
    let child = Command::new(program())
        .arg("-c")
        .arg(folder.join("mosquitto.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("mosquitto is there: .ci/install brings it");
    wait_until("mosquitto listens", || TcpStream::connect(address).is_ok());
    child
}

/// Distributions put it where people's PATH often does not look.
fn program() -> PathBuf {
    let system = PathBuf::from("/usr/sbin/mosquitto");
    if system.is_file() {
        system
    } else {
        "mosquitto".into()
    }
}

/// Somebody with a session that outlives the broker, who collects all batches of a topic.
pub(crate) struct Collector {
    batches: Arc<Mutex<Vec<Value>>>,
    _task: JoinSet<()>,
}

impl Collector {
    /// Returns when the subscription stands.
    pub(crate) async fn subscribe(broker: &Mosquitto, filter: &str) -> Self {
        let mut options = MqttOptions::new(
            "collector",
            broker.address.ip().to_string(),
            broker.address.port(),
        );
        options
            .set_clean_session(false)
            .set_max_packet_size(16 << 20, 16 << 20);
        let (client, mut event_loop) = AsyncClient::new(options, 16);
        let batches = Arc::<Mutex<Vec<Value>>>::default();
        let (collected, filter) = (Arc::clone(&batches), filter.to_owned());
        let (sender, mut subscribed) = tokio::sync::mpsc::channel(1);
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                match event_loop.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        client.try_subscribe(&filter, QoS::AtLeastOnce).unwrap();
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => {
                        sender.try_send(()).ok();
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        assert_eq!(publish.qos, QoS::AtLeastOnce);
                        let batch = serde_json::from_slice(&publish.payload).unwrap();
                        collected.lock().unwrap().push(batch);
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
        subscribed.recv().await.unwrap();
        Self {
            batches,
            _task: task,
        }
    }

    pub(crate) fn batches(&self) -> usize {
        self.batches.lock().unwrap().len()
    }

    /// Each reading's id, however often it came.
    pub(crate) fn ids(&self) -> BTreeSet<i64> {
        let batches = self.batches.lock().unwrap();
        let readings = batches
            .iter()
            .flat_map(|batch| batch["readings"].as_array().unwrap());
        readings
            .map(|reading| reading["id"].as_i64().unwrap())
            .collect()
    }
}
