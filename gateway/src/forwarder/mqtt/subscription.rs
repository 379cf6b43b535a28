//! The subscription to commands: asked for on each connection, and again some time after the broker has refused it.

use std::time::Duration;

use rumqttc::{AsyncClient, QoS, SubAck, SubscribeReasonCode};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::domain::topic::TopicFilter;
use crate::forwarder::progress::Progress;
use crate::forwarder::verdict::Verdict;

const REFUSED: &str =
    "the broker refuses the subscription to commands: allow it there, or set downlink = false";

/// Of one connection.
pub(super) struct Subscription<'c> {
    pub(super) uplink: &'c str,
    pub(super) client: &'c AsyncClient,
    /// `None`: nothing is asked for.
    pub(super) filter: Option<&'c TopicFilter>,
    /// From a refusal to the next try.
    pub(super) pause: Duration,
    pub(super) progress: &'c Progress,
    pub(super) refused: Notify,
}

impl Subscription<'_> {
    /// Asks for it as often as it is refused; ends when the client takes nothing more.
    pub(super) async fn ask(&self) -> Verdict {
        let Some(filter) = self.filter else {
            return std::future::pending().await;
        };
        loop {
            let asked = self.client.try_subscribe(filter.as_str(), QoS::AtLeastOnce);
            if let Err(error) = asked {
                return Verdict::retry(error.to_string());
            }
            self.refused.notified().await;
            sleep(self.pause).await;
        }
    }

    /// What the broker said.
    pub(super) fn answered(&self, ack: &SubAck) {
        let is_refused = ack.return_codes.contains(&SubscribeReasonCode::Failure);
        if is_refused {
            tracing::warn!(uplink = %self.uplink, "the broker refuses the subscription to commands");
            self.refused.notify_one();
        }
        self.progress
            .refused(is_refused.then(|| REFUSED.to_owned()));
    }
}
