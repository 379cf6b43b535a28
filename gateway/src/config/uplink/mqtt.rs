//! The keys of an uplink whose receiver is a broker, and those that only other receivers have.

use std::path::{Path, PathBuf};

use crate::config::kinds::{flag, secret_file, text, unexpected};
use crate::config::section::{Section, Setting};
use crate::config::uplink_url::{Broker, GATEWAY_ID, Receiver};
use crate::config::value::Value;
use crate::domain::topic::{TopicFilter, TopicName};

use super::Format;

/// Keys that mean something to a broker only.
const OF_BROKERS: &[&str] = &["topic", "client_id", "user", "password_file", "downlink"];

/// Keys that mean something to HTTP only.
const OF_HTTP: &[&str] = &["headers", "expect", "bearer_token_file"];

/// The longest client id; MQTT 3.1.1, section 1.5.3, allows more, brokers seldom do.
const MAX_CLIENT_ID_BYTES: usize = 256;

/// A broker as a receiver: MQTT 3.1.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttUplink {
    pub broker: Broker,
    /// Where batches are published. May hold [`SENSOR_ID`](Self::SENSOR_ID).
    /// Default: `gateways/<gateway_id>/readings`.
    pub topic: Box<str>,
    /// Default: the `gateway_id`.
    pub client_id: Box<str>,
    /// The user's name and the file with the password, if the broker asks for them.
    pub user: Option<Box<str>>,
    pub password: Option<PathBuf>,
    /// The broker's topics that are handed on to the clients here. Default: `commands/<gateway_id>/#`.
    pub downlink: Option<TopicFilter>,
}

impl MqttUplink {
    /// Stands in a topic for the sensor of the reading.
    pub const SENSOR_ID: &str = "%{sensor_id}";

    /// Reads them if the receiver is a broker; `None` for a receiver that nobody knows. Files are relative to `folder`.
    pub(super) fn read(
        section: &mut Section<'_>,
        receiver: Option<Receiver>,
        format: &Setting<Format>,
        folder: &Path,
        gateway_id: &str,
    ) -> Option<Self> {
        let broker = match receiver {
            Some(Receiver::Broker(broker)) => broker,
            Some(Receiver::Http) => {
                section.refuse_keys(
                    OF_BROKERS,
                    "is for brokers only: remove it, or deliver to mqtts://",
                );
                return None;
            }
            None => {
                section.skip_keys(OF_BROKERS);
                return None;
            }
        };
        section.refuse_keys(
            OF_HTTP,
            "means nothing to a broker: remove it, or deliver to https://",
        );
        let is_single = format.value == Format::Single || !format.sound;
        let default = format!("gateways/{gateway_id}/readings").into();
        let topic = section.setting("topic", default, |value| {
            check_topic(value, is_single, gateway_id)
        });
        let client_id = section.setting("client_id", gateway_id.into(), check_client_id);
        let user = section.setting("user", None, |value| match value {
            Value::Text(text) | Value::Raw(text) if text.is_empty() => Ok(None),
            value => text(value).map(|text| Some(text.into())),
        });
        let password = section.setting("password_file", None, secret_file(folder));
        if password.value.is_some() && user.value.is_none() && user.sound {
            let message = "needs user, the name that the password belongs to";
            section.refuse("password_file", password.place, message);
        }
        let downlink = section.setting("downlink", true, flag).value;
        let commands = TopicFilter::new(&format!("commands/{gateway_id}/#"));
        Some(Self {
            broker,
            topic: topic.value,
            client_id: client_id.value,
            user: user.value,
            password: password.value,
            downlink: commands.ok().filter(|_| downlink),
        })
    }
}

fn check_topic(value: &Value, is_single: bool, gateway_id: &str) -> Result<Box<str>, String> {
    let topic = text(value)?.replace(GATEWAY_ID, gateway_id);
    let sample = topic.replace(MqttUplink::SENSOR_ID, "s");
    if sample.contains("%{") {
        return Err(
            "holds something else between %{ and } than gateway_id or sensor_id".to_owned(),
        );
    }
    if sample != topic && !is_single {
        return Err(
            "holds %{sensor_id}, but a message has the readings of many sensors: set format = \"single\""
                .to_owned(),
        );
    }
    match TopicName::new(&sample) {
        Ok(_) => Ok(topic.into()),
        Err(error) => Err(format!("is no topic to publish to: it {error}")),
    }
}

fn check_client_id(value: &Value) -> Result<Box<str>, String> {
    let id = text(value)?;
    if id.contains("%{") {
        return Err(
            "holds %{: a client id is taken as it stands; without it, it is gateway_id".to_owned(),
        );
    }
    if MAX_CLIENT_ID_BYTES < id.len() || id.chars().any(char::is_control) {
        let expected = format!("at most {MAX_CLIENT_ID_BYTES} bytes without control characters");
        return Err(unexpected(&expected, value));
    }
    Ok(id.into())
}

#[cfg(test)]
mod tests;
