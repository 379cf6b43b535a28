//! What one client knows of its connection, and whether what comes fits to that.

use std::collections::{HashMap, HashSet, VecDeque};

use super::forge::{Sense, Wishes};
use super::packets::{Packet, Publish, take};
use crate::domain::subscription::Interest;
use crate::domain::topic::TopicName;

/// An acknowledgement that the client owes: its kind and its packet identifier.
pub(super) type Owed = (u8, u16);

/// One client's view.
#[derive(Default)]
pub(super) struct Watcher {
    unread: Vec<u8>,
    wishes: Option<Wishes>,
    /// Known with CONNACK.
    is_v5: Option<bool>,
    is_present: bool,
    is_over: bool,
    /// A frame of which nobody can tell what it says has been sent: from then on less can be checked.
    pub(super) is_clouded: bool,
    /// Identifiers of the gateway's publishes that are not done with.
    open: HashSet<u16>,
    received: HashSet<u16>,
    aliases: HashMap<u16, String>,
    /// QoS 1 publishes that are not acknowledged, in their order.
    unacknowledged: VecDeque<u16>,
    exchanges: HashSet<u16>,
    released: HashMap<u16, usize>,
    subscribed: VecDeque<(u16, Vec<u8>)>,
    interests: Vec<(Interest, u8)>,
    unsubscribed: VecDeque<(u16, usize)>,
    pings: usize,
    pub(super) owed: VecDeque<Owed>,
    pub(super) payloads: Vec<Vec<u8>>,
    pub(super) pongs: usize,
    pub(super) acknowledged: usize,
}

impl Watcher {
    /// Takes note of what the client is about to send.
    pub(super) fn sends(&mut self, sense: &Sense) {
        match sense {
            Sense::Connect(wishes) => self.wishes = Some(*wishes),
            Sense::Publish { packet_id, qos: 1 } => self.unacknowledged.push_back(*packet_id),
            Sense::Publish { packet_id, .. } => {
                self.exchanges.insert(*packet_id);
            }
            Sense::Done(packet_id) => {
                self.open.remove(packet_id);
            }
            Sense::Pubrec(packet_id) => {
                self.received.insert(*packet_id);
            }
            Sense::Pubrel(packet_id) => *self.released.entry(*packet_id).or_default() += 1,
            Sense::Subscribe { packet_id, entries } => {
                let wanted = entries.iter().map(|(_, qos)| *qos).collect();
                self.subscribed.push_back((*packet_id, wanted));
                let sound = entries
                    .iter()
                    .filter_map(|(text, qos)| Some((Interest::new(text).ok()?, *qos)));
                self.interests.extend(sound);
            }
            Sense::Unsubscribe { packet_id, count } => {
                self.unsubscribed.push_back((*packet_id, *count));
            }
            Sense::Ping => self.pings += 1,
            Sense::Other => {}
            Sense::Unknown => self.is_clouded = true,
        }
    }

    /// Reads what came; an error says what the gateway should not have sent.
    pub(super) fn reads(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.unread.extend_from_slice(bytes);
        while let Some((packet, length)) = take(&mut self.unread, self.is_v5)? {
            let said = format!("{packet:?}");
            let fits = self.judge(packet, length);
            fits.map_err(|fault| format!("{fault}: {said}"))?;
        }
        Ok(())
    }

    pub(super) fn is_connected(&self) -> bool {
        self.is_v5.is_some()
    }

    fn judge(&mut self, packet: Packet, length: usize) -> Result<(), String> {
        if self.is_over {
            return Err("after the last word".into());
        }
        let wishes = self.wishes.filter(|_| !self.is_clouded);
        if wishes.is_some_and(|wishes| wishes.max_packet < length) {
            return Err("longer than the client takes".into());
        }
        let is_clear = !self.is_clouded;
        match packet {
            Packet::Connack {
                is_v5,
                is_present,
                is_refusal,
            } => {
                let is_wanted = wishes.is_none_or(|wishes| wishes.is_v5 == is_v5);
                if self.is_v5.replace(is_v5).is_some() || !is_wanted {
                    return Err("a second CONNACK, or one of another version".into());
                }
                self.is_present = is_present;
                self.is_over = is_refusal;
            }
            Packet::Publish(publish) => self.judge_publish(publish, wishes)?,
            Packet::Puback(packet_id) => {
                self.acknowledged += 1;
                let first = self.unacknowledged.pop_front();
                demand(
                    !is_clear || first == Some(packet_id),
                    "not the first that was owed",
                )?;
            }
            Packet::Pubrec {
                packet_id,
                is_refusal,
            } => {
                demand(
                    !is_clear || self.exchanges.contains(&packet_id),
                    "nothing to acknowledge",
                )?;
                if !is_refusal {
                    self.owed.push_back((6, packet_id));
                }
            }
            Packet::Pubcomp(packet_id) => {
                let count = self.released.entry(packet_id).or_default();
                demand(!is_clear || 0 < *count, "nothing to complete")?;
                *count = count.saturating_sub(1);
            }
            Packet::Pubrel {
                packet_id,
                is_known,
            } => {
                let is_asked = self.received.contains(&packet_id) || self.is_present;
                demand(!is_clear || is_asked, "nothing to release")?;
                if is_known {
                    self.owed.push_back((7, packet_id));
                }
            }
            Packet::Suback { packet_id, codes } => self.judge_suback(packet_id, &codes)?,
            Packet::Unsuback { packet_id, codes } => {
                let asked = self.unsubscribed.pop_front();
                let fits = asked.is_some_and(|(id, count)| {
                    id == packet_id && (self.is_v5 != Some(true) || count == codes.len())
                });
                demand(!is_clear || fits, "not what was asked")?;
            }
            Packet::Pingresp => {
                demand(!is_clear || 0 < self.pings, "no ping")?;
                self.pings = self.pings.saturating_sub(1);
                self.pongs += 1;
            }
            Packet::Disconnect => self.is_over = true,
        }
        Ok(())
    }

    fn judge_suback(&mut self, packet_id: u16, codes: &[u8]) -> Result<(), String> {
        let asked = self.subscribed.pop_front();
        let fits = asked.is_some_and(|(id, wanted)| {
            let is_granted = |(code, wanted): (&u8, &u8)| code == wanted || 0x80 <= *code;
            id == packet_id
                && wanted.len() == codes.len()
                && codes.iter().zip(&wanted).all(is_granted)
        });
        demand(self.is_clouded || fits, "not what was asked")
    }

    fn judge_publish(&mut self, publish: Publish, wishes: Option<Wishes>) -> Result<(), String> {
        let Publish {
            mut topic,
            alias,
            qos,
            is_again,
            packet_id,
            payload,
        } = publish;
        if let Some(alias) = alias {
            let is_allowed = wishes.is_none_or(|wishes| alias <= wishes.alias_maximum);
            demand(is_allowed, "an alias beyond the client's maximum")?;
            if topic.is_empty() {
                let known = self.aliases.get(&alias);
                topic.clone_from(known.ok_or("an alias that was not given")?);
            } else {
                self.aliases.insert(alias, topic.clone());
            }
        }
        let name = TopicName::new(&topic).map_err(|error| format!("a topic that {error}"))?;
        demand(
            self.is_clouded || self.is_present || !is_again,
            "again in a new session",
        )?;
        if wishes.is_some() && !self.is_present {
            let fits =
                |(interest, most): &(Interest, u8)| qos <= *most && interest.filter.matches(&name);
            demand(
                self.interests.iter().any(fits),
                "not subscribed to with this QoS",
            )?;
        }
        self.payloads.push(payload);
        if qos == 0 {
            return Ok(());
        }
        let is_new = self.open.insert(packet_id);
        demand(self.is_clouded || is_new, "an identifier that is in use")?;
        let most = wishes.map_or(u16::MAX, |wishes| wishes.receive_maximum);
        demand(
            self.open.len() <= most.into(),
            "more at once than the client takes",
        )?;
        self.owed
            .push_back((if qos == 1 { 4 } else { 5 }, packet_id));
        Ok(())
    }
}

fn demand(is_sound: bool, what: &str) -> Result<(), String> {
    if is_sound {
        Ok(())
    } else {
        Err(what.to_owned())
    }
}
