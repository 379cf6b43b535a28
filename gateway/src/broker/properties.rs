//! MQTT 5 properties, between the wire and the gateway's words.

use mqtt_protocol_core::mqtt::{
    packet::{self, PayloadFormat, Property},
    result_code::MqttError,
};

use super::violation::Violation;
use crate::domain::message::Properties;

/// U+0000 is in no text (MQTT 5.0, section 1.5.4): for the properties that nothing is done with.
pub(super) fn check<'p>(
    properties: impl IntoIterator<Item = &'p Property>,
) -> Result<(), Violation> {
    let has_null = |text: &str| text.contains('\0');
    let is_unsound = properties.into_iter().any(|property| match property {
        Property::UserProperty(p) => has_null(p.key()) || has_null(p.val()),
        Property::ReasonString(p) => has_null(p.val()),
        Property::AuthenticationMethod(p) => has_null(p.val()),
        _ => false,
    });
    if is_unsound {
        Err(Violation::malformed("U+0000 in a property"))
    } else {
        Ok(())
    }
}

/// The properties of a PUBLISH or of a will that travel to subscribers; `None` if there are none. Control characters in
/// their texts are refused, U+0000 because it is forbidden (MQTT 5.0, section 1.5.4), the others because clients end the
/// connection on which they get them.
pub(super) fn read(properties: &[Property]) -> Result<Option<Properties>, Violation> {
    let mut read = Properties::default();
    for property in properties {
        match property {
            // Only the server tells these (MQTT 5.0, section 3.3.4).
            Property::SubscriptionIdentifier(_) => {
                return Err(Violation::protocol(
                    "a subscription identifier from a client",
                ));
            }
            // Section 3.3.2.3.5.
            Property::ResponseTopic(p) if p.val().contains(['+', '#']) => {
                return Err(Violation::protocol("a wildcard in a response topic"));
            }
            Property::PayloadFormatIndicator(p) => read.payload_is_utf8 = Some(p.val() == 1),
            Property::MessageExpiryInterval(p) => read.message_expiry = Some(p.val()),
            Property::ContentType(p) => read.content_type = Some(p.val().into()),
            Property::ResponseTopic(p) => read.response_topic = Some(p.val().into()),
            Property::CorrelationData(p) => read.correlation_data = Some(p.val().into()),
            Property::UserProperty(p) => {
                let (key, value) = (p.key().into(), p.val().into());
                read.user_properties.push((key, value));
            }
            _ => {}
        }
    }
    let texts = [&read.content_type, &read.response_topic];
    let pairs = read.user_properties.iter();
    let is_clean = texts
        .into_iter()
        .flatten()
        .chain(pairs.flat_map(|(key, value)| [key, value]))
        .all(|text| !text.chars().any(char::is_control));
    if !is_clean {
        return Err(Violation::malformed("a control character in a property"));
    }
    Ok((read != Properties::default()).then_some(read))
}

/// The properties of an outgoing PUBLISH. `expiry` is what is left of the message's, in seconds.
pub(super) fn write(
    properties: Option<&Properties>,
    expiry: Option<u32>,
    subscription_ids: &[u32],
    alias: Option<u16>,
) -> Result<Vec<Property>, MqttError> {
    let mut written: Vec<Property> = Vec::new();
    if let Some(alias) = alias {
        written.push(packet::TopicAlias::new(alias)?.into());
    }
    for id in subscription_ids {
        written.push(packet::SubscriptionIdentifier::new(*id)?.into());
    }
    let Some(properties) = properties else {
        return Ok(written);
    };
    if let Some(is_utf8) = properties.payload_is_utf8 {
        let format = if is_utf8 {
            PayloadFormat::String
        } else {
            PayloadFormat::Binary
        };
        written.push(packet::PayloadFormatIndicator::new(format)?.into());
    }
    if let Some(seconds) = expiry {
        written.push(packet::MessageExpiryInterval::new(seconds)?.into());
    }
    if let Some(text) = &properties.content_type {
        written.push(packet::ContentType::new(&**text)?.into());
    }
    if let Some(topic) = &properties.response_topic {
        written.push(packet::ResponseTopic::new(&**topic)?.into());
    }
    if let Some(data) = &properties.correlation_data {
        written.push(packet::CorrelationData::new(data.to_vec())?.into());
    }
    for (key, value) in &properties.user_properties {
        written.push(packet::UserProperty::new(&**key, &**value)?.into());
    }
    Ok(written)
}
