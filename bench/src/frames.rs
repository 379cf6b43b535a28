//! MQTT 3.1.1 as bytes: what the generator sends, made before the clock starts.
//! It knows nothing of sockets and never allocates while a load runs.

use std::fmt::Write;

use anyhow::{Result, ensure};

use crate::http::push_post;

const CONNECT: u8 = 0x10;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const UNSUBSCRIBE: u8 = 0xA2;
const UNSUBACK: u8 = 0xB0;
pub(crate) const DISCONNECT: [u8; 2] = [0xE0, 0];
/// What an MQTT 3.1.1 server answers to a clean session that it takes.
pub(crate) const CONNACK_ACCEPTED: [u8; 4] = [0x20, 2, 0, 0];
/// The same to who finds its session.
pub(crate) const CONNACK_RESUMED: [u8; 4] = [0x20, 2, 1, 0];
const CLEAN_SESSION: u8 = 0x02;
const USER_NAME_AND_PASSWORD: u8 = 0xC0;
const KEEP_ALIVE_SECONDS: u16 = 60;

pub(crate) fn connect(client_id: &str) -> Result<Vec<u8>> {
    connect_as(CLEAN_SESSION, &[client_id])
}

/// Asks for the session that `client_id` has.
pub(crate) fn log_in(client_id: &str, user: &str, password: &str) -> Result<Vec<u8>> {
    connect_as(USER_NAME_AND_PASSWORD, &[client_id, user, password])
}

fn connect_as(flags: u8, texts: &[&str]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    push_text(&mut body, "MQTT")?;
    body.extend([4, flags]);
    body.extend(KEEP_ALIVE_SECONDS.to_be_bytes());
    for text in texts {
        push_text(&mut body, text)?;
    }
    packet(CONNECT, &body)
}

/// Asks for `filters` at `qos`.
pub(crate) fn subscribe(filters: &[impl AsRef<str>], qos: u8, packet_id: u16) -> Result<Vec<u8>> {
    let mut body = packet_id.to_be_bytes().to_vec();
    for filter in filters {
        push_text(&mut body, filter.as_ref())?;
        body.push(qos);
    }
    packet(SUBSCRIBE, &body)
}

/// What a server answers that grants `count` filters at `qos`.
pub(crate) fn suback(count: usize, qos: u8, packet_id: u16) -> Result<Vec<u8>> {
    let mut body = packet_id.to_be_bytes().to_vec();
    body.resize(body.len() + count, qos);
    packet(SUBACK, &body)
}

pub(crate) fn unsubscribe(filters: &[impl AsRef<str>], packet_id: u16) -> Result<Vec<u8>> {
    let mut body = packet_id.to_be_bytes().to_vec();
    for filter in filters {
        push_text(&mut body, filter.as_ref())?;
    }
    packet(UNSUBSCRIBE, &body)
}

pub(crate) fn unsuback(packet_id: u16) -> [u8; 4] {
    let [high, low] = packet_id.to_be_bytes();
    [UNSUBACK, 2, high, low]
}

fn packet(kind: u8, body: &[u8]) -> Result<Vec<u8>> {
    let mut frame = vec![kind];
    push_remaining_length(&mut frame, body.len())?;
    frame.extend(body);
    Ok(frame)
}

/// A publish; one of QoS 0 has no packet id.
fn push_publish(
    frames: &mut Vec<u8>,
    qos: u8,
    topic: &str,
    packet_id: u16,
    payload: &str,
) -> Result<()> {
    let id_bytes = if qos == 0 { 0 } else { 2 };
    frames.push(PUBLISH | qos << 1);
    push_remaining_length(frames, 2 + topic.len() + id_bytes + payload.len())?;
    push_text(frames, topic)?;
    if qos != 0 {
        frames.extend(packet_id.to_be_bytes());
    }
    frames.extend(payload.as_bytes());
    Ok(())
}

pub(crate) fn push_text(bytes: &mut Vec<u8>, text: &str) -> Result<()> {
    bytes.extend(u16::try_from(text.len())?.to_be_bytes());
    bytes.extend(text.as_bytes());
    Ok(())
}

pub(crate) fn push_remaining_length(frame: &mut Vec<u8>, mut length: usize) -> Result<()> {
    ensure!(
        length < 1 << 28,
        "{length} bytes do not fit into an MQTT packet"
    );
    loop {
        let low = (length & 0x7F) as u8;
        length >>= 7;
        if length == 0 {
            frame.push(low);
            return Ok(());
        }
        frame.push(low | 0x80);
    }
}

/// All publishes of one client, one behind the other.
pub(crate) struct Publishes {
    bytes: Vec<u8>,
    /// Where each publish ends in `bytes`.
    ends: Vec<usize>,
    /// The client's first reading; the others follow at this distance.
    first_seq: u64,
    seq_step: u64,
}

impl Publishes {
    /// The share of client `client` of `readings` readings spread over `clients` clients, with QoS 1.
    pub(crate) fn share(client: u64, clients: u64, readings: u64) -> Result<Self> {
        Self::share_of(client, clients, readings, 1, push_reading)
    }

    /// The share of client `client` of `count` publishes, each with what `push_payload` makes of its number.
    pub(crate) fn share_of(
        client: u64,
        clients: u64,
        count: u64,
        qos: u8,
        push_payload: impl Fn(u64, &mut String) -> Result<()>,
    ) -> Result<Self> {
        let mut topic = String::new();
        Self::share_by(
            client,
            clients,
            count,
            push_payload,
            |index, seq, payload, bytes| {
                topic.clear();
                write!(topic, "sensors/s{}", sensor_and_hundredths(seq).0)?;
                push_publish(bytes, qos, &topic, Self::packet_id(index), payload)
            },
        )
    }

    /// The same as requests of HTTP.
    pub(crate) fn posts_of(
        client: u64,
        clients: u64,
        count: u64,
        push_payload: impl Fn(u64, &mut String) -> Result<()>,
    ) -> Result<Self> {
        Self::share_by(
            client,
            clients,
            count,
            push_payload,
            |_, _, payload, bytes| push_post(bytes, payload),
        )
    }

    fn share_by(
        client: u64,
        clients: u64,
        count: u64,
        push_payload: impl Fn(u64, &mut String) -> Result<()>,
        mut push_frame: impl FnMut(usize, u64, &str, &mut Vec<u8>) -> Result<()>,
    ) -> Result<Self> {
        let (mut bytes, mut ends, mut payload) = (Vec::new(), Vec::new(), String::new());
        for (index, seq) in (client..count).step_by(clients.try_into()?).enumerate() {
            payload.clear();
            push_payload(seq, &mut payload)?;
            push_frame(index, seq, &payload, &mut bytes)?;
            ends.push(bytes.len());
        }
        Ok(Self {
            bytes,
            ends,
            first_seq: client,
            seq_step: clients,
        })
    }

    /// The packet id of publish `index`: never 0, the same again only after all others.
    pub(crate) fn packet_id(index: usize) -> u16 {
        (index % usize::from(u16::MAX)) as u16 + 1
    }

    /// The `seq` in the payload of publish `index`.
    pub(crate) fn seq(&self, index: usize) -> u64 {
        self.first_seq + index as u64 * self.seq_step
    }

    /// The bytes of publish `index` alone.
    pub(crate) fn frame(&self, index: usize) -> &[u8] {
        self.frames(index, index + 1)
    }

    /// The bytes of publishes from one on up to, not including, another.
    pub(crate) fn frames(&self, from: usize, to: usize) -> &[u8] {
        &self.bytes[self.end(from)..self.end(to)]
    }

    /// Where the first `count` publishes end.
    fn end(&self, count: usize) -> usize {
        count.checked_sub(1).map_or(0, |last| self.ends[last])
    }

    pub(crate) fn count(&self) -> usize {
        self.ends.len()
    }

    /// What of the first `count` publishes is not among the first `written` bytes.
    pub(crate) fn unwritten(&self, written: usize, count: usize) -> &[u8] {
        &self.bytes[written..self.end(count)]
    }
}

/// Reading `seq` as a payload.
pub(crate) fn push_reading(seq: u64, to: &mut String) -> Result<()> {
    push_reading_of(sensor_and_hundredths(seq).0, seq, to)
}

/// The same of another sensor.
pub(crate) fn push_reading_of(sensor: u64, seq: u64, to: &mut String) -> Result<()> {
    let hundredths = sensor_and_hundredths(seq).1;
    let (whole, part) = (hundredths / 100, hundredths % 100);
    Ok(write!(
        to,
        r#"{{"sensor_id":"s{sensor}","value":{whole}.{part:02},"seq":{seq}}}"#
    )?)
}

/// Whether reading `seq` has a value over `limit`.
pub(crate) fn is_over(seq: u64, limit: u64) -> bool {
    limit * 100 < sensor_and_hundredths(seq).1
}

/// Spreads the readings over 1,000 sensors and, in each block of 1,000, the values over 0.05, 0.15, … 99.95:
/// exactly a quarter lies over 75 and half over 50. The steps share no factor with 1,000, so every sensor
/// meets every value.
pub(crate) fn sensor_and_hundredths(seq: u64) -> (u64, u64) {
    let (block, sensor) = (seq / 1_000, seq % 1_000);
    let tenths = (sensor * 617 + block * 389) % 1_000;
    (sensor, tenths * 10 + 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remaining_length_takes_as_many_bytes_as_the_standard_says() -> Result<()> {
        let checks: [(usize, &[u8]); 7] = [
            (0, &[0]),
            (127, &[0x7F]),
            (128, &[0x80, 0x01]),
            (321, &[0xC1, 0x02]),
            (16_383, &[0xFF, 0x7F]),
            (16_384, &[0x80, 0x80, 0x01]),
            (268_435_455, &[0xFF, 0xFF, 0xFF, 0x7F]),
        ];
        for (length, expected) in checks {
            let mut frame = Vec::new();
            push_remaining_length(&mut frame, length)?;
            assert_eq!(frame, expected, "{length}");
        }
        assert!(push_remaining_length(&mut Vec::new(), 268_435_456).is_err());
        Ok(())
    }

    #[test]
    fn subscriptions_and_their_answers_name_filters_and_packet_id() -> Result<()> {
        assert_eq!(
            subscribe(&["a/#"], 0, 1)?,
            b"\x82\x08\x00\x01\x00\x03a/#\x00"
        );
        assert_eq!(
            subscribe(&["a", "b"], 2, 258)?,
            b"\x82\x0a\x01\x02\x00\x01a\x02\x00\x01b\x02"
        );
        assert_eq!(suback(2, 2, 258)?, b"\x90\x04\x01\x02\x02\x02");
        assert_eq!(
            unsubscribe(&["a", "b"], 3)?,
            b"\xa2\x08\x00\x03\x00\x01a\x00\x01b"
        );
        assert_eq!(unsuback(258), *b"\xb0\x02\x01\x02");
        Ok(())
    }

    #[test]
    fn a_connect_asks_for_a_clean_session_of_mqtt_3_1_1() -> Result<()> {
        assert_eq!(
            connect("b7")?,
            b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02b7"
        );
        Ok(())
    }

    #[test]
    fn a_login_asks_for_its_session_with_user_and_password() -> Result<()> {
        assert_eq!(
            log_in("b7", "ann", "pw")?,
            b"\x10\x17\x00\x04MQTT\x04\xc0\x00\x3c\x00\x02b7\x00\x03ann\x00\x02pw"
        );
        Ok(())
    }

    #[test]
    fn a_share_is_every_nth_reading_as_publishes_with_counted_packet_ids() -> Result<()> {
        let share = Publishes::share(1, 2, 5)?;
        assert_eq!(share.count(), 2);
        let first =
            b"\x32\x36\x00\x0asensors/s1\x00\x01{\"sensor_id\":\"s1\",\"value\":61.75,\"seq\":1}";
        let second =
            b"\x32\x36\x00\x0asensors/s3\x00\x02{\"sensor_id\":\"s3\",\"value\":85.15,\"seq\":3}";
        assert_eq!(share.unwritten(0, 1), first);
        assert_eq!(share.unwritten(first.len(), 2), second);
        assert_eq!(share.unwritten(first.len() + 4, 2), &second[4..]);
        assert!(share.unwritten(0, 0).is_empty());
        assert_eq!([share.frame(0), share.frame(1)], [&first[..], second]);
        assert_eq!([share.seq(0), share.seq(1)], [1, 3]);
        Ok(())
    }

    #[test]
    fn packet_ids_begin_again_at_one() {
        assert_eq!(
            [0, 65_534, 65_535].map(Publishes::packet_id),
            [1, 65_535, 1]
        );
    }

    #[test]
    fn a_quarter_of_the_values_is_over_75_and_half_over_50() {
        let over = |limit: u64| (3_000..4_000).filter(|&seq| is_over(seq, limit)).count();
        assert_eq!((over(75), over(50)), (250, 500));
    }
}
