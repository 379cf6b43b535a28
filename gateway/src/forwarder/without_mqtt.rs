//! MQTT uplinks, which this build has not.

use tokio::time::Instant;

use super::payload::Body;
use super::progress::Progress;
use super::uplink::{Sent, UplinkError};
use crate::config::{self, MqttUplink};
use crate::ingest::SubmissionQueue;

/// There is none.
#[derive(Debug)]
pub(super) enum Mqtt {}

/// There is none.
#[derive(Debug)]
pub(super) enum Keeper {}

impl Mqtt {
    pub(super) fn new(_: &config::Uplink, _: &MqttUplink) -> Result<(Self, Keeper), UplinkError> {
        Err(UplinkError::NoMqtt)
    }

    #[expect(clippy::unused_async, reason = "as the one that sends")]
    pub(super) async fn send(&self, _: Body, _: Instant) -> Sent {
        match *self {}
    }
}

impl Keeper {
    pub(super) async fn keep(self, _: SubmissionQueue, _: Progress) {
        match self {}
    }
}
