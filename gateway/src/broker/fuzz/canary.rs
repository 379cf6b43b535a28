//! A sound client on the side: it is to be served whatever the others do.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinSet;
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::bytes::{data, packet};
use super::forge::{self, Sense, Wishes};
use super::visit::{PATIENCE, serve};
use super::watcher::Watcher;
use crate::broker::Shared;

const TOPIC: &str = "sensors/the/canary";

/// The client.
pub(super) struct Canary {
    stream: DuplexStream,
    served: JoinSet<()>,
    watcher: Watcher,
    sung: usize,
}

impl Canary {
    pub(super) async fn connect(shared: &Arc<Shared>, stop: &CancellationToken) -> Self {
        let (stream, theirs) = tokio::io::duplex(4096);
        let mut canary = Self {
            served: serve(shared, stop, theirs),
            stream,
            watcher: Watcher::default(),
            sung: 0,
        };
        let wishes = Wishes {
            is_v5: false,
            receive_maximum: u16::MAX,
            max_packet: usize::MAX,
            alias_maximum: 0,
        };
        canary
            .send(&connect_clean("canary"), &Sense::Connect(wishes))
            .await;
        canary.until(Watcher::is_connected).await;
        let mut body = vec![0, 1];
        data(TOPIC.as_bytes(), &mut body);
        body.push(1);
        let entries = vec![(TOPIC.to_owned(), 1)];
        let sense = Sense::Subscribe {
            packet_id: 1,
            entries,
        };
        canary.send(&packet(0x82, &body), &sense).await;
        canary
    }

    /// Publishes a reading, gets it back, and an answer to a ping.
    pub(super) async fn sing(&mut self) {
        self.sung += 1;
        let sung = self.sung;
        let song = format!("{{\"value\":{sung}}}").into_bytes();
        let packet_id = (sung % 65_535) as u16 + 1;
        let mut body = Vec::new();
        data(TOPIC.as_bytes(), &mut body);
        body.extend(packet_id.to_be_bytes());
        body.extend_from_slice(&song);
        let sense = Sense::Publish { packet_id, qos: 1 };
        self.send(&packet(0x32, &body), &sense).await;
        let ping = forge::ping();
        self.send(&ping.bytes, &ping.sense).await;
        self.until(|watcher| {
            watcher.acknowledged == sung
                && watcher.pongs == sung
                && watcher.payloads.contains(&song)
        })
        .await;
        self.watcher.payloads.clear();
        while let Some((kind, packet_id)) = self.watcher.owed.pop_front() {
            let frame = forge::acknowledgement(kind, packet_id, false);
            self.send(&frame.bytes, &frame.sense).await;
        }
    }

    pub(super) async fn leave(mut self) {
        self.send(&[0xE0, 0], &Sense::Other).await;
        end(self.stream, self.served).await;
    }

    async fn send(&mut self, bytes: &[u8], sense: &Sense) {
        self.watcher.sends(sense);
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn until(&mut self, is_so: impl Fn(&Watcher) -> bool) {
        let mut buffer = [0; 1024];
        while !is_so(&self.watcher) {
            let count = time::timeout(PATIENCE, self.stream.read(&mut buffer)).await;
            let count = count.expect("the canary is answered").unwrap();
            assert_ne!(count, 0, "the canary may stay");
            self.watcher.reads(&buffer[..count]).unwrap();
        }
    }
}

/// Ends the session of a client id by a clean start.
pub(super) async fn end_session(client_id: &str, shared: &Arc<Shared>, stop: &CancellationToken) {
    let (mut stream, theirs) = tokio::io::duplex(4096);
    let served = serve(shared, stop, theirs);
    stream.write_all(&connect_clean(client_id)).await.unwrap();
    let mut connack = [0; 4];
    let read = time::timeout(PATIENCE, stream.read_exact(&mut connack)).await;
    read.expect("the last client is answered").unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    stream.write_all(&[0xE0, 0]).await.unwrap();
    end(stream, served).await;
}

fn connect_clean(client_id: &str) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0];
    data(client_id.as_bytes(), &mut body);
    packet(0x10, &body)
}

async fn end(mut stream: DuplexStream, mut served: JoinSet<()>) {
    let mut rest = Vec::new();
    let rest = stream.read_to_end(&mut rest);
    time::timeout(PATIENCE, rest)
        .await
        .expect("it ends")
        .unwrap();
    let gone = time::timeout(PATIENCE, served.join_next()).await;
    gone.expect("its task ends").unwrap().unwrap();
}
