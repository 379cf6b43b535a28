//! The gateway forwards to a stock rumqttd that is killed under load and comes back. `EDGE_GATEWAY` names the gateway's
//! binary; else the one of the outer workspace is taken.

#![expect(clippy::unwrap_used, reason = "these are tests")]
#![expect(dead_code, reason = "the other tests need more of the support")]

mod support;

use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use support::{
    Broker,
    wire::{Client, Connect, Publish},
};

const LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// Readings of each of the three parts: while the broker is there, while it is killed, while it is away.
const PART: i64 = 2_000;

struct Gateway {
    child: Child,
    mqtt: SocketAddr,
    http: SocketAddr,
}

impl Gateway {
    fn start(folder: &Path, upstream: SocketAddr) -> Self {
        // A rumqttd as it ships takes payloads of up to 20 KiB.
        let config = format!(
            "[mqtt]\nlisten = \"127.0.0.1:0\"\nwebsocket_listen = \"\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [cloud]\nurl = \"mqtt://{upstream}\"\nbatch_max_bytes = \"16KiB\"\nbatch_linger = \"0ms\"\n\
             retry_initial = \"100ms\"\nretry_max = \"500ms\"\n"
        );
        fs::write(folder.join("gateway.toml"), config).unwrap();
        let mut child = Command::new(gateway_binary())
            .args(["--config", "gateway.toml", "--log-format", "json"])
            .current_dir(folder)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut address_of = |transport: &str| loop {
            let line = log.next().expect("the gateway ended").unwrap();
            let line: Value = serde_json::from_str(&line).expect(&line);
            if line["transport"] == transport {
                return line["address"].as_str().unwrap().parse().unwrap();
            }
        };
        let (mqtt, http) = (address_of("mqtt"), address_of("http"));
        thread::spawn(move || {
            log.map_while(Result::ok)
                .for_each(|line| eprintln!("{line}"));
        });
        Self { child, mqtt, http }
    }

    fn pending(&self) -> i64 {
        let url = format!("http://{}/api/v1/outbox", self.http);
        let text = reqwest::blocking::get(url).unwrap().text().unwrap();
        let outbox: Value = serde_json::from_str(&text).unwrap();
        outbox["pending"].as_i64().unwrap()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Returns when all are acked, and so on disk.
    fn publish(&self, seqs: std::ops::Range<i64>) {
        let id = format!("publisher-{}", seqs.start);
        let mut client = Client::connect(self.mqtt, &Connect::new(&id)).unwrap();
        for seq in seqs {
            let reading = format!(r#"{{"sensor_id":"s1","value":60,"seq":{seq}}}"#);
            client.publish_acked("sensors/s1", false, reading.as_bytes());
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn gateway_binary() -> PathBuf {
    if let Some(named) = env::var_os("EDGE_GATEWAY") {
        return named.into();
    }
    let outer = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    ["release", "debug"]
        .map(|profile| outer.join(profile).join("edge-gateway"))
        .into_iter()
        .find(|file| file.is_file())
        .expect("no gateway: `cargo build -p edge-gateway`, or name it in EDGE_GATEWAY")
}

/// Of the readings of a batch.
fn seqs_in(batch: &Publish) -> Vec<i64> {
    let batch: Value = serde_json::from_slice(&batch.payload).unwrap();
    let readings = batch["readings"].as_array().unwrap();
    let seqs = readings
        .iter()
        .map(|reading| reading["attributes"]["seq"].as_i64());
    seqs.map(Option::unwrap).collect()
}

/// Of all batches that come until nothing does.
fn take_seqs(subscriber: &mut Client) -> impl Iterator<Item = i64> + use<> {
    subscriber
        .take_all()
        .into_iter()
        .flat_map(|batch| seqs_in(&batch))
}

fn subscribe(broker: &Broker) -> Client {
    let mut client = broker.connect("collector");
    client.subscribe("gateways/#", 1);
    client
}

#[test]
fn what_a_broker_has_not_acked_when_it_is_killed_goes_to_it_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = free.local_addr().unwrap();
    drop(free);
    let listen = upstream.to_string();
    let start_broker = || Broker::start_with(&["--listen", &listen]);

    let broker = start_broker();
    let mut subscriber = subscribe(&broker);
    let gateway = Gateway::start(folder.path(), upstream);
    gateway.publish(0..PART);
    let mut arrived: BTreeSet<i64> = take_seqs(&mut subscriber).collect();
    assert!(
        arrived.iter().copied().eq(0..PART),
        "{} arrived",
        arrived.len()
    );

    thread::scope(|scope| {
        let load = scope.spawn(|| gateway.publish(PART..2 * PART));
        // In the middle of it.
        while arrived.len() < (PART + PART / 4) as usize {
            let publish = subscriber.next_publish().expect("the load goes on");
            subscriber.ack(publish.packet_id);
            arrived.extend(seqs_in(&publish));
        }
        drop(broker);
        load.join().unwrap();
    });
    gateway.publish(2 * PART..3 * PART);
    assert!(PART <= gateway.pending(), "{} wait", gateway.pending());

    // rumqttd keeps no session: who wants to hear all has to be there before the gateway.
    gateway.signal("-STOP");
    let broker = start_broker();
    let mut subscriber = subscribe(&broker);
    gateway.signal("-CONT");
    let deadline = Instant::now() + LIMIT;
    while 0 < gateway.pending() {
        assert!(
            Instant::now() < deadline,
            "{} still wait",
            gateway.pending()
        );
        thread::sleep(POLL);
    }
    arrived.extend(take_seqs(&mut subscriber));
    assert!(
        (2 * PART..3 * PART).all(|seq| arrived.contains(&seq)),
        "all that came while it was away"
    );
    // It stores nothing: what it had acked and not yet handed on died with it. That is one stretch, of the time of the kill.
    let lost: Vec<i64> = (0..3 * PART).filter(|seq| !arrived.contains(seq)).collect();
    println!("rumqttd lost {} readings that it had acked", lost.len());
    assert!(
        lost.is_empty() || lost[lost.len() - 1] - lost[0] < PART / 2,
        "{lost:?}"
    );
}
