//! A cloud that keeps the `seq` of each reading that arrives: a sink for requests, or an upstream Mosquitto with a
//! subscriber.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use serde_json::Value;

use crate::{
    client, mosquitto,
    server::Server,
    sink::Sink,
    split::{Splitter, body},
    subject::Guests,
    subscriber::seq_in,
};

const PUBLISH_QOS_1: u8 = 0x32;
/// The kind, the QoS and not whether it comes again or is retained.
const KIND_AND_QOS: u8 = 0xF6;
const PUBACK: u8 = 0x40;
const GZIP: [u8; 2] = [0x1F, 0x8B];

pub(crate) enum Cloud {
    Sink(Sink),
    Upstream {
        /// Held so that it runs as long as the cloud is there.
        _server: Server,
        address: SocketAddr,
        arrived: Arc<Mutex<Vec<u64>>>,
    },
}

impl Cloud {
    pub(crate) fn sink() -> Result<Self> {
        let sink = Sink::start()?;
        sink.keep_bodies();
        Ok(Self::Sink(sink))
    }

    /// In a folder of its own in `folder`.
    pub(crate) fn upstream(program: &Path, folder: &Path) -> Result<Self> {
        let folder = folder.join("upstream");
        fs::create_dir(&folder)?;
        let (server, address) = mosquitto::start(program, &folder, Guests::Anybody)?;
        let mut socket = client::handshake(address, "cloud")?;
        client::subscribe(&mut socket, &["sensors/#"], 1)?;
        socket.set_read_timeout(None)?;
        let arrived = Arc::<Mutex<Vec<u64>>>::default();
        let shared = Arc::clone(&arrived);
        // It ends with its broker; what it misses counts as lost.
        thread::spawn(move || follow(socket, &shared));
        Ok(Self::Upstream {
            _server: server,
            address,
            arrived,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Sink(sink) => sink.address(),
            Self::Upstream { address, .. } => *address,
        }
    }

    /// What has arrived since this was last asked.
    pub(crate) fn take(&self) -> Result<Vec<u64>> {
        match self {
            Self::Sink(sink) => {
                let bodies = sink.take_bodies();
                let seqs: Result<Vec<_>> = bodies.iter().map(|body| seqs_in(body)).collect();
                Ok(seqs?.concat())
            }
            Self::Upstream { arrived, .. } => {
                let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(std::mem::take(&mut arrived))
            }
        }
    }
}

/// Acks each publish and keeps its `seq`.
fn follow(mut socket: TcpStream, arrived: &Mutex<Vec<u64>>) -> Result<()> {
    let (mut splitter, mut buffer) = (Splitter::default(), vec![0; 64 << 10]);
    loop {
        let length = socket.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        let (mut seqs, mut acks) = (Vec::new(), Vec::new());
        splitter.push(&buffer[..length], |packet| {
            if packet[0] & KIND_AND_QOS == PUBLISH_QOS_1 {
                let [high, low] = packet_id(packet).context("a publish without a packet id")?;
                acks.extend([PUBACK, 2, high, low]);
                seqs.push(seq_in(packet).context("a reading without a seq")?);
            }
            Ok(())
        })?;
        let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.extend(seqs);
        drop(arrived);
        socket.write_all(&acks)?;
    }
}

/// Of a publish with QoS 1.
fn packet_id(publish: &[u8]) -> Option<[u8; 2]> {
    let (topic_bytes, rest) = body(publish).split_first_chunk()?;
    let behind_topic = rest.get(usize::from(u16::from_be_bytes(*topic_bytes))..)?;
    behind_topic.first_chunk().copied()
}

/// Of a request by the gateway, where it is an attribute, or by the script.
fn seqs_in(body: &[u8]) -> Result<Vec<u64>> {
    let mut text = Vec::new();
    if body.starts_with(&GZIP) {
        GzDecoder::new(body).read_to_end(&mut text)?;
    } else {
        text.extend_from_slice(body);
    }
    let batch: Value = serde_json::from_slice(&text)?;
    let readings = batch["readings"].as_array().context("no readings")?;
    let seqs = readings.iter().map(|reading| {
        let seq = reading.get("seq").unwrap_or(&reading["attributes"]["seq"]);
        seq.as_u64().context("a reading without a seq")
    });
    seqs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::Publishes;

    #[test]
    fn the_seq_is_found_in_the_requests_of_both_and_in_a_publish() -> Result<()> {
        let ours =
            br#"{"readings":[{"id":9,"attributes":{"seq":1}},{"id":10,"attributes":{"seq":2}}]}"#;
        let theirs = br#"{"readings":[{"sensor_id":"s1","value":61.75,"seq":3}]}"#;
        assert_eq!(seqs_in(ours)?, [1, 2]);
        assert_eq!(seqs_in(theirs)?, [3]);
        let publishes = Publishes::share(1, 2, 5)?;
        let publish = publishes.frame(1);
        assert_eq!(
            (packet_id(publish), seq_in(publish)),
            (Some([0, 2]), Some(3))
        );
        Ok(())
    }
}
