//! rumqttd as its examples start it: on threads of its own, which live as long as the process.
//! It cannot be told to stop, nor asked whether its router still runs.

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

const START_LIMIT: Duration = Duration::from_secs(10);
const START_POLL: Duration = Duration::from_millis(5);
const STOP_POLL: Duration = Duration::from_millis(20);

/// The numbers of rumqttd's own `rumqttd.toml`.
const SHIPPED: Limits = Limits {
    outgoing_packets: 200,
    segment_bytes: 100 << 20,
    segments: 10,
    payload_bytes: 20_480,
    in_flight: 100,
};
/// Ten times what it ships with where that loses less, and enough log for every flood of the benchmark.
const GENEROUS: Limits = Limits {
    outgoing_packets: 2_000,
    segment_bytes: 100 << 20,
    segments: 20,
    payload_bytes: 256 << 10,
    in_flight: 1_000,
};

struct Limits {
    outgoing_packets: u64,
    segment_bytes: usize,
    segments: usize,
    payload_bytes: usize,
    in_flight: usize,
}

#[derive(Debug, Args)]
pub(crate) struct BareOptions {
    /// Where MQTT 3.1.1 clients connect
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where MQTT 5 clients connect
    #[arg(long)]
    listen_v5: Option<SocketAddr>,
    /// Bytes of a log's segment
    #[arg(long, default_value_t = SHIPPED.segment_bytes)]
    segment_bytes: usize,
}

/// The broker of the gateway with what it needs to lose as little as it can.
pub(crate) fn new_generous(address: SocketAddr) -> Broker {
    Broker::new(config(&GENEROUS, address, None))
}

/// Runs the broker alone until `stop`.
pub(crate) fn run_bare(options: &BareOptions, stop: &AtomicBool) -> Result<()> {
    let address = settle(options.listen)?;
    let v5_address = options.listen_v5.map(settle).transpose()?;
    let limits = Limits {
        segment_bytes: options.segment_bytes,
        ..SHIPPED
    };
    start(
        Broker::new(config(&limits, address, v5_address)),
        &[Some(address), v5_address].map(|found| found.unwrap_or(address)),
    )?;
    announce("mqtt", address);
    if let Some(address) = v5_address {
        announce("mqtt5", address);
    }
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(STOP_POLL);
    }
    Ok(())
}

/// Returns once every address takes connections.
pub(crate) fn start(mut broker: Broker, addresses: &[SocketAddr]) -> Result<()> {
    thread::Builder::new()
        .name("broker".to_owned())
        .spawn(move || {
            if let Err(error) = broker.start() {
                eprintln!("stock-gateway: the broker ended: {error}");
            }
        })?;
    let deadline = Instant::now() + START_LIMIT;
    for address in addresses {
        while TcpStream::connect(address).is_err() {
            if deadline < Instant::now() {
                bail!("the broker does not listen on {address} after {START_LIMIT:?}");
            }
            thread::sleep(START_POLL);
        }
    }
    Ok(())
}

/// The broker cannot say which port it got, so for port 0 one is chosen that was free a moment ago.
pub(crate) fn settle(wanted: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind(wanted).with_context(|| format!("cannot bind {wanted}"))?;
    Ok(listener.local_addr()?)
}

/// The line of the log that says where clients may come, as the gateway's.
pub(crate) fn announce(transport: &str, address: SocketAddr) {
    let address = address.to_string();
    eprintln!(
        "{}",
        serde_json::json!({"level": "INFO", "message": "listening", "transport": transport, "address": address})
    );
}

fn config(limits: &Limits, address: SocketAddr, v5_address: Option<SocketAddr>) -> Config {
    let server = |name: &str, listen| {
        let settings = ServerSettings {
            name: name.to_owned(),
            listen,
            tls: None,
            next_connection_delay_ms: 1,
            connections: ConnectionSettings {
                connection_timeout_ms: 60_000,
                max_payload_size: limits.payload_bytes,
                max_inflight_count: limits.in_flight,
                auth: None,
                external_auth: None,
                dynamic_filters: true,
            },
        };
        HashMap::from([(name.to_owned(), settings)])
    };
    Config {
        router: RouterConfig {
            max_connections: 10_010,
            max_outgoing_packet_count: limits.outgoing_packets,
            max_segment_size: limits.segment_bytes,
            max_segment_count: limits.segments,
            ..RouterConfig::default()
        },
        v4: Some(server("v4", address)),
        v5: v5_address.map(|listen| server("v5", listen)),
        ..Config::default()
    }
}
