//! Frames as nobody should make them: those of the corpus and of [`forge`](super::forge), damaged.

use fastrand::Rng;

use super::forge::{Frame, Sense};

/// Frames made by hand: hexadecimal, `;` begins a remark. Some are sound, most have one fault.
pub(super) struct Corpus(Vec<Vec<u8>>);

impl Corpus {
    pub(super) fn read() -> Self {
        let texts = CORPUS.iter().map(|(name, text)| {
            let digits: Vec<u8> = text
                .lines()
                .flat_map(|line| line.split(';').next().unwrap_or_default().bytes())
                .filter(|byte| !byte.is_ascii_whitespace())
                .collect();
            let pairs = digits.chunks(2).map(|pair| {
                let pair = std::str::from_utf8(pair).unwrap();
                u8::from_str_radix(pair, 16).unwrap_or_else(|_| panic!("{name}: {pair}"))
            });
            pairs.collect()
        });
        Self(texts.collect())
    }

    /// One of them, as it is.
    pub(super) fn pick(&self, rng: &mut Rng) -> Frame {
        unknown(self.0[rng.usize(..self.0.len())].clone())
    }

    /// A frame, or one of these, damaged.
    pub(super) fn damage(&self, frame: Frame, rng: &mut Rng) -> Frame {
        let mut bytes = if rng.bool() {
            frame.bytes
        } else {
            self.pick(rng).bytes
        };
        for _ in 0..rng.u8(1..=3) {
            self.damage_once(&mut bytes, rng);
        }
        unknown(bytes)
    }

    fn damage_once(&self, bytes: &mut Vec<u8>, rng: &mut Rng) {
        if bytes.is_empty() {
            return bytes.push(rng.u8(..));
        }
        let at = rng.usize(..bytes.len());
        match rng.u8(..9) {
            0 | 1 => bytes[at] ^= 1 << rng.u8(..8),
            2 => bytes[at] = rng.u8(..),
            3 => bytes.truncate(at),
            4 => bytes.extend_from_within(at..),
            5 => {
                let other = self.pick(rng).bytes;
                bytes.truncate(at);
                bytes.extend_from_slice(&other[rng.usize(..=other.len())..]);
            }
            6 => {
                // The remaining length.
                let at = 1.min(bytes.len() - 1);
                bytes[at] = bytes[at].wrapping_add(rng.u8(..5)).wrapping_sub(2);
            }
            7 => bytes.insert(at, rng.u8(..)),
            _ => {
                bytes.remove(at);
            }
        }
    }
}

fn unknown(bytes: Vec<u8>) -> Frame {
    Frame {
        bytes,
        sense: Sense::Unknown,
    }
}

macro_rules! corpus {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("corpus/", $name, ".hex")))),*]
    };
}

const CORPUS: &[(&str, &str)] = corpus! {
    "auth_without_agreement"
    "connack_from_a_client"
    "connect_v31"
    "connect_v4_bad_will_qos"
    "connect_v4_no_id_not_clean"
    "connect_v4_with_will"
    "connect_v5_all_properties"
    "connect_v5_receive_maximum_zero"
    "connect_v5_two_session_expiries"
    "disconnect_v5_session_expiry"
    "endless_remaining_length"
    "length_beyond_the_limit"
    "ping_with_a_body"
    "puback_v5_with_reason_text"
    "publish_alias_only"
    "publish_dup_qos0"
    "publish_id_zero"
    "publish_qos3"
    "publish_topic_with_nul"
    "publish_topic_with_wildcard"
    "publish_topic_longer_than_packet"
    "publish_topic_not_utf8"
    "publish_v5_all_properties"
    "publish_v5_unknown_property"
    "pubrel_wrong_flags"
    "subscribe_no_entries"
    "subscribe_reserved_option_bits"
    "subscribe_shared_no_local"
    "subscribe_v4"
    "subscribe_v5_id_zero"
    "type_zero"
    "unsubscribe_v5"
};
