//! What a service manager expects: it is told when the gateway serves, reads files again and ends; its watchdog is fed as long
//! as the work goes on; and sockets that it passes are listened on.

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::disk::Disk;
use crate::support::frames::{PUBACK, Publish, V311};
use crate::support::http::{metric, post};
use crate::support::raw::Raw;
use crate::support::{LIMIT, Site, command, command_in, signal, wait_until};

/// Hears what the gateway tells.
struct Manager {
    socket: UnixDatagram,
    path: String,
}

impl Manager {
    fn new(site: &Site) -> Self {
        let path = site.name("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self { socket, path }
    }

    /// Has a command tell it.
    fn hears(&self, mut command: Command) -> Command {
        command.env("NOTIFY_SOCKET", &self.path);
        command
    }

    /// The next that is told within `limit`.
    fn next(&self, limit: Duration) -> Option<String> {
        let mut told = [0; 4096];
        self.socket.set_read_timeout(Some(limit)).unwrap();
        let length = self.socket.recv(&mut told).ok()?;
        Some(String::from_utf8(told[..length].to_vec()).unwrap())
    }

    /// Waits until something is told that begins so.
    #[track_caller]
    fn is_told(&self, begin: &str) -> String {
        let until = Instant::now() + LIMIT;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.next(left.max(Duration::from_millis(1))) {
                Some(told) if told.starts_with(begin) => return told,
                Some(_) => {}
                None => panic!("waited in vain for {begin}"),
            }
        }
    }
}

#[test]
fn the_manager_is_told_when_the_gateway_serves_reloads_and_ends() {
    let site = Site::new();
    let manager = Manager::new(&site);
    let gateway = site.start_as(manager.hears(command()));
    manager.is_told("READY=1\n");
    post(
        &gateway,
        "/data",
        r#"[{"id":"s1","value":60},{"id":"s1","value":40}]"#,
    );
    manager.is_told("STATUS=Serves 0 clients; 2 readings since the start, 1 wait for the cloud");
    signal(gateway.pid(), "HUP");
    let told = manager.is_told("RELOADING=1\n");
    assert!(told.contains("\nMONOTONIC_USEC="), "{told}");
    manager.is_told("READY=1\n");
    assert_eq!(gateway.stop().code(), Some(0));
    manager.is_told("STOPPING=1\n");
}

#[test]
fn the_watchdog_is_fed_as_long_as_the_work_goes_on() {
    const WATCHDOG: Duration = Duration::from_secs(1);
    let Some(disk) = Disk::mount(1) else {
        return;
    };
    let site = Site::new().storing_at(disk.path("data/gateway.db"));
    let manager = Manager::new(&site);
    let mut command = manager.hears(command());
    command.env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
    let gateway = site.start_as(command);
    for _ in 0..5 {
        manager.is_told("WATCHDOG=1");
    }
    disk.set(|faults| faults.sync_time = 6 * WATCHDOG);
    let mut sensor = Raw::connect(&gateway, V311, "s1");
    sensor.send(&Publish::new("sensors/s1", "1").qos(1, 1).bytes(V311));
    // It hangs in the commit now; what was told before is behind us when nothing comes for so long.
    let hungry = Instant::now();
    wait_until(
        "nothing is told for three times as long as it should be",
        || manager.next(WATCHDOG).is_none(),
    );
    disk.is_well();
    manager.is_told("WATCHDOG=1");
    assert!(WATCHDOG <= hungry.elapsed());
    sensor.wait_for(PUBACK);
    for _ in 0..5 {
        manager.is_told("WATCHDOG=1");
    }
    drop(sensor);
    assert_eq!(gateway.stop().code(), Some(0));
}

/// The binary, with `passed` as its first passed socket.
fn with_socket(passed: impl Into<OwnedFd>) -> Command {
    let script = r#"LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@" 3<&0 </dev/null"#;
    let mut command = command_in(script);
    command.stdin(passed.into());
    command
}

#[test]
fn a_socket_that_is_passed_is_listened_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let site = Site::new().environment("EDGE_GATEWAY_MQTT__LISTEN", address.to_string());
    // Nobody else can bind the address while this is open: it is this one that is listened on.
    let gateway = site.start_as(with_socket(listener.try_clone().unwrap()));
    assert_eq!(gateway.mqtt, address);
    let mut sensor = Raw::connect(&gateway, V311, "s1");
    assert_eq!(sensor.publish(Publish::new("sensors/s1", "1").qos(1, 1)), 0);
    assert!(1.0 <= metric(&gateway, "gateway_readings_committed_total"));
    drop(sensor);
    assert_eq!(gateway.stop().code(), Some(0));
}

#[test]
fn what_is_passed_and_no_key_listens_on_is_refused() {
    let check = |passed: OwnedFd, said: &[&str]| {
        let site = Site::new();
        let told = site
            .try_start_as(with_socket(passed), |_| {})
            .err()
            .unwrap();
        for part in said {
            assert!(told.contains(part), "no {part:?} in {told}");
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    check(listener.into(), &[&address, "no key listens there"]);
    check(File::open("/dev/null").unwrap().into(), &["LISTEN_FDS"]);
}
