//! A machine with little memory and little of a processor: what it is built for it holds, and beyond that it makes its clients wait. The
//! kernel never has to end it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use simulator::fleet::{Fleet, RunningFleet};

use crate::support::frames::{Connect, Publish, V311};
use crate::support::http::metric;
use crate::support::{Gateway, LIMIT, Site, command_in};

const MEMORY: u64 = 64 << 20;
/// Of a core.
const SHARE: f64 = 0.25;
/// Microseconds, as the kernel wants it.
const PERIOD: f64 = 100_000.0;

/// What each of two clients publishes that do not wait, of so many bytes.
const POURED: u16 = 2200;
const PAYLOAD: usize = 16 << 10;

/// Control groups (cgroups(7)) with these limits, of the first or the second version. Removed when it is dropped.
struct Limits {
    folders: Vec<PathBuf>,
    memory: PathBuf,
}

impl Limits {
    /// `None` where no groups can be made; in CI they can. A limit of addresses (`ulimit -v`) is none of memory: it counts stacks that
    /// are there in case, such as that on which rules are compiled.
    fn new() -> Option<Self> {
        let name = format!(
            "edge-gateway-test-{}-{}",
            std::process::id(),
            fastrand::u32(..)
        );
        Self::first(&name).or_else(|| Self::second(&name))
    }

    fn first(name: &str) -> Option<Self> {
        let [memory, processor] =
            ["memory", "cpu"].map(|kind| PathBuf::from("/sys/fs/cgroup").join(kind).join(name));
        let limits = Self {
            folders: vec![memory.clone(), processor.clone()],
            memory: memory.clone(),
        };
        limits.folders.iter().try_for_each(fs::create_dir).ok()?;
        fs::write(memory.join("memory.limit_in_bytes"), MEMORY.to_string()).ok()?;
        fs::write(processor.join("cpu.cfs_period_us"), PERIOD.to_string()).ok()?;
        fs::write(
            processor.join("cpu.cfs_quota_us"),
            (PERIOD * SHARE).to_string(),
        )
        .ok()?;
        Some(limits)
    }

    fn second(name: &str) -> Option<Self> {
        // Of groups in the first one, that need not be so; it can be there already.
        fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory +cpu").ok();
        let folder = PathBuf::from("/sys/fs/cgroup").join(name);
        let limits = Self {
            folders: vec![folder.clone()],
            memory: folder.clone(),
        };
        fs::create_dir(&folder).ok()?;
        fs::write(folder.join("memory.max"), MEMORY.to_string()).ok()?;
        fs::write(folder.join("memory.swap.max"), "0").ok()?;
        fs::write(
            folder.join("cpu.max"),
            format!("{} {PERIOD}", PERIOD * SHARE),
        )
        .ok()?;
        Some(limits)
    }

    /// A script that enters them and becomes the gateway.
    fn script(&self) -> String {
        let enter = |folder: &PathBuf| format!("echo $$ >{}/cgroup.procs; ", folder.display());
        let entries: String = self.folders.iter().map(enter).collect();
        entries + r#"exec "$0" "$@""#
    }

    /// How often the kernel had to end a process for want of memory.
    fn kills(&self) -> u64 {
        let files = ["memory.oom_control", "memory.events"].map(|name| self.memory.join(name));
        let told = files.iter().find_map(|file| fs::read_to_string(file).ok());
        let told = told.expect("the kernel tells");
        let mut lines = told.lines();
        let line = lines
            .find_map(|line| line.strip_prefix("oom_kill "))
            .unwrap();
        line.parse().unwrap()
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        for folder in &self.folders {
            fs::remove_dir(folder).ok();
        }
    }
}

/// Waits for so many acknowledgements, then for those of all that was published: how many they are.
async fn finish(fleet: RunningFleet, acked: u64) -> u64 {
    fleet
        .wait_for(|counts| acked <= counts.acked, LIMIT)
        .await
        .unwrap();
    let counts = fleet.stop(LIMIT).await;
    assert_eq!(counts.published, counts.acked);
    counts.acked
}

fn stored(site: &Site) -> u64 {
    site.sql::<i64>("SELECT count(*) FROM readings")
        .unsigned_abs()
}

fn fleet(gateway: &Gateway<'_>, rate: f64) -> RunningFleet {
    let fleet = Fleet {
        broker: gateway.mqtt.to_string(),
        count: 500,
        rate,
        ..Fleet::default()
    };
    fleet.start().unwrap()
}

/// One client that waits for nothing: it publishes as fast as its socket takes it, while it reads what is acknowledged. How many bytes
/// it had written, at the most, that were not.
fn pour(gateway: &Gateway<'_>, client_id: &str) -> usize {
    let mut socket = TcpStream::connect(gateway.mqtt).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.set_write_timeout(Some(LIMIT)).unwrap();
    socket
        .write_all(&Connect::new(V311, client_id).bytes())
        .unwrap();
    socket.read_exact(&mut [0; 4]).unwrap();
    let payload = format!(r#"{{"value":1,"text":"{}"}}"#, "x".repeat(PAYLOAD));
    let topic = format!("sensors/{client_id}");
    let written = AtomicUsize::new(0);
    let mut to = socket.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for id in 1..=POURED {
                let publish = Publish::new(&topic, payload.as_bytes()).qos(1, id);
                to.write_all(&publish.bytes(V311)).unwrap();
                written.fetch_add(PAYLOAD, Ordering::Relaxed);
            }
        });
        let mut most = 0;
        for acked in 1..=POURED {
            let mut puback = [0; 4];
            socket.read_exact(&mut puback).unwrap();
            assert_eq!(puback[..2], [0x40, 2]);
            let behind = written.load(Ordering::Relaxed);
            most = most.max(behind.saturating_sub(usize::from(acked) * PAYLOAD));
        }
        most
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_what_it_is_built_for_and_makes_clients_wait_beyond() {
    let Some(limits) = Limits::new() else {
        println!("skip: no control groups can be made here");
        return;
    };
    let site = Site::new();
    let gateway = site.start_as(command_in(&limits.script()));
    let acked = finish(fleet(&gateway, 500.0), 3_000).await;
    assert_eq!(stored(&site), acked);
    // Pressed by fifty clients with all they have.
    let acked = acked + finish(fleet(&gateway, f64::INFINITY), 20_000).await;
    assert_eq!(stored(&site), acked);
    // By clients that wait for nothing, with more than there is memory. What they had written before it was acknowledged is a part of
    // that: the sockets' buffers, and no more of the gateway's.
    let behind: usize = thread::scope(|scope| {
        let clients = ["a", "b"].map(|id| scope.spawn(|| pour(&gateway, id)));
        clients.map(|client| client.join().unwrap()).iter().sum()
    });
    let all = 2 * usize::from(POURED) * PAYLOAD;
    let memory = MEMORY as usize;
    assert!(memory < all && behind < memory / 2, "{behind} of {all}");
    let acked = acked + 2 * u64::from(POURED);
    assert_eq!(stored(&site), acked);
    assert_eq!(
        metric(&gateway, "gateway_readings_lost_total{reason=\"overload\"}"),
        0.0
    );
    assert_eq!(limits.kills(), 0);
    assert_eq!(gateway.stop().code(), Some(0));
}
