//! The way to a receiver that is a broker: MQTT 3.1.1, QoS 1. There is one connection; who sends hands its batch to the
//! keeper of it and waits for the PUBACK.
//!
//! Invariants: a batch is delivered only by the PUBACK of its publish on the connection that sent it; after any error the
//! client is a new one, and all that was on its way is sent again by the pump.

mod connection;
mod downlink;
mod failure;
mod ledger;
mod options;
mod subscription;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, Instant, sleep_until};

use self::downlink::Downlink;
use super::backoff::Backoff;
use super::payload::Body;
use super::progress::Progress;
use super::rate::Bucket;
use super::uplink::{Sent, UplinkError, client_files};
use super::verdict::{Verdict, Words};
use crate::config::{self, MqttUplink};
use crate::ingest::SubmissionQueue;
use crate::tls::ClientFiles;

/// The status that HTTP has for a batch that has to be smaller.
const TOO_LARGE: u16 = 413;

/// A broker, for who sends.
#[derive(Debug)]
pub(super) struct Mqtt {
    topic: Box<str>,
    /// Of a body with several readings, before compression.
    max_bytes: usize,
    requests: mpsc::Sender<Request>,
}

/// A batch that is to be published.
#[derive(Debug)]
struct Request {
    topic: String,
    payload: Bytes,
    /// When the pump let it go.
    started: Instant,
    reply: oneshot::Sender<Sent>,
}

/// Keeps the connection: makes it, serves it, and makes it again.
#[derive(Debug)]
pub(super) struct Keeper {
    config: Arc<config::Uplink>,
    mqtt: Arc<MqttUplink>,
    files: ClientFiles,
    requests: mpsc::Receiver<Request>,
    /// Taken from the queue and not yet handed to a client.
    next: Option<Request>,
    bucket: Option<Bucket>,
    downlink: Downlink,
}

impl Mqtt {
    /// Sets up what the section says. Reads its certificates; connects to nobody yet.
    pub(super) fn new(
        config: &config::Uplink,
        mqtt: &MqttUplink,
    ) -> Result<(Self, Keeper), UplinkError> {
        let files = client_files(&config.files);
        files.config()?;
        let (sender, requests) = mpsc::channel(config.concurrency);
        let keeper = Keeper {
            config: Arc::new(config.clone()),
            mqtt: Arc::new(mqtt.clone()),
            files,
            requests,
            next: None,
            bucket: config.max_rate.map(Bucket::new),
            downlink: Downlink::new(Arc::clone(&config.name), mqtt.downlink.clone()),
        };
        let topic = mqtt.topic.clone();
        let requests = sender;
        let uplink = Self {
            topic,
            max_bytes: config.batch_max_bytes,
            requests,
        };
        Ok((uplink, keeper))
    }

    /// Publishes one body once and waits until it is acknowledged or cannot be any more.
    pub(super) async fn send(&self, body: Body, started: Instant) -> Sent {
        if body.sensor_id.is_none() && self.max_bytes < body.plain_bytes {
            // It was recorded when the limit was another one; the broker would only close the connection.
            return Sent::without_bytes(Verdict::TooLarge(Words {
                status: TOO_LARGE,
                body: "larger than batch_max_bytes".into(),
            }));
        }
        let Some(topic) = self.topic_for(body.sensor_id.as_deref()) else {
            // It was recorded when the topic was another one. Its parts have one reading in the end.
            return Sent::without_bytes(Verdict::Refused(Words {
                status: TOO_LARGE,
                body: "the topic has room for one sensor".into(),
            }));
        };
        let (reply, answer) = oneshot::channel();
        let request = Request {
            topic,
            payload: body.bytes.into(),
            started,
            reply,
        };
        let lost = || Sent::without_bytes(Verdict::retry("the connection has ended"));
        if self.requests.send(request).await.is_err() {
            return lost();
        }
        answer.await.unwrap_or_else(|_| lost())
    }

    fn topic_for(&self, sensor_id: Option<&str>) -> Option<String> {
        if !self.topic.contains(MqttUplink::SENSOR_ID) {
            return Some(self.topic.to_string());
        }
        Some(self.topic.replace(MqttUplink::SENSOR_ID, sensor_id?))
    }
}

impl Request {
    /// Bytes of its PUBLISH: a byte, the length, the topic and its length, the packet id, the payload (MQTT 3.1.1,
    /// section 3.3).
    fn size(&self) -> usize {
        let rest = 2 + self.topic.len() + 2 + self.payload.len();
        let length = match rest {
            0..=0x7f => 1,
            0x80..=0x3fff => 2,
            0x4000..=0x001f_ffff => 3,
            _ => 4,
        };
        1 + length + rest
    }

    fn answer(self, verdict: &Verdict) {
        // Nobody waits any more when the gateway stops.
        self.reply.send(Sent::without_bytes(verdict.clone())).ok();
    }
}

impl Keeper {
    /// Goes on until the pump or the committer is gone. With a downlink there is a connection whether there is something
    /// to send or not; else the first batch asks for it. A batch that the pump lets go after a failure has waited as long
    /// as the pump's back-off says: it is tried at once.
    pub(super) async fn keep(mut self, submissions: SubmissionQueue, progress: Progress) {
        let (initial, max) = (self.config.retry_initial, self.config.retry_max);
        let mut backoff = Backoff::new(initial, max);
        let mut said = None;
        if self.mqtt.downlink.is_none() && !self.is_asked().await {
            return;
        }
        loop {
            let ended = self.connection(&submissions, &progress).await;
            if self.requests.is_closed() {
                return;
            }
            let failed_at = Instant::now();
            if ended.lasted.is_some_and(|lasted| max <= lasted) {
                backoff.reset();
            }
            let wait = match &ended.verdict {
                Verdict::Held { reason, .. } => {
                    progress.refused(Some(reason.clone()));
                    backoff.held(None)
                }
                _ => backoff.after_failure(fastrand::f64(), None),
            };
            if ended.lasted.is_some() || said.as_ref() != Some(&ended.verdict) {
                self.say(&ended.verdict);
            }
            self.answer_all(&ended.verdict);
            if !self.pause(failed_at, wait, &ended.verdict).await {
                return;
            }
            said = Some(ended.verdict);
        }
    }

    async fn is_asked(&mut self) -> bool {
        self.next = self.requests.recv().await;
        self.next.is_some()
    }

    /// Until a batch comes that tells something new; with a downlink, no longer than `wait`. False if none can come.
    async fn pause(&mut self, failed_at: Instant, wait: Duration, verdict: &Verdict) -> bool {
        let has_downlink = self.mqtt.downlink.is_some();
        loop {
            tokio::select! {
                request = self.requests.recv() => match request {
                    None => return false,
                    Some(request) if request.started <= failed_at => request.answer(verdict),
                    request => {
                        self.next = request;
                        return true;
                    }
                },
                () = sleep_until(failed_at + wait), if has_downlink => return true,
            }
        }
    }

    fn answer_all(&mut self, verdict: &Verdict) {
        if let Some(request) = self.next.take() {
            request.answer(verdict);
        }
        while let Ok(request) = self.requests.try_recv() {
            request.answer(verdict);
        }
    }

    fn say(&self, verdict: &Verdict) {
        let uplink = &self.config.name;
        if let Verdict::Retry { reason, .. } | Verdict::Held { reason, .. } = verdict {
            tracing::warn!(%uplink, %reason, "no connection to the broker");
        }
    }
}

#[cfg(test)]
mod tests;
