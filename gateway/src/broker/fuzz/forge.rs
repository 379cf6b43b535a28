//! Frames as a sound client makes them, drawn at random.

use fastrand::Rng;

use super::bytes::{Properties, data, packet};

/// The client ids that all clients share, so that they take each other's sessions over.
pub(super) const CLIENT_IDS: &[&str] = &["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"];
const TOPICS: &[&str] = &[
    "a",
    "a/b",
    "a/b/c",
    "t/1",
    "t/2",
    "/",
    "r/1",
    "r/2",
    "r/3",
    "sensors/s1",
    "sensors/s2/x",
    "status/d1",
    "$SYS/x",
    "alerts/s1",
    "$x/y",
];
const FILTERS: &[&str] = &[
    "a",
    "a/b",
    "#",
    "+",
    "a/#",
    "+/b",
    "t/+",
    "/",
    "r/#",
    "sensors/#",
    "alerts/#",
    "$SYS/#",
    "$share/g/a/b",
    "$share/g/#",
    "$share/h/t/+",
    "$share/g/sensors/+",
    "status/d1",
];
const BAD_FILTERS: &[&str] = &["a/#/b", "a+", "$share/g", "$share//a", "", "##"];

/// What a client asked for in its CONNECT.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wishes {
    pub(super) is_v5: bool,
    pub(super) receive_maximum: u16,
    pub(super) max_packet: usize,
    pub(super) alias_maximum: u16,
}

/// A frame, and what its answer has to fit to.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    pub(super) sense: Sense,
}

/// What a frame says.
#[derive(Clone, Debug)]
pub(super) enum Sense {
    Connect(Wishes),
    /// PUBLISH that wants an acknowledgement.
    Publish {
        packet_id: u16,
        qos: u8,
    },
    /// PUBACK, PUBCOMP or a PUBREC that refuses.
    Done(u16),
    Pubrec(u16),
    Pubrel(u16),
    Subscribe {
        packet_id: u16,
        entries: Vec<(String, u8)>,
    },
    Unsubscribe {
        packet_id: u16,
        count: usize,
    },
    Ping,
    /// Nothing is answered.
    Other,
    /// Nobody can tell.
    Unknown,
}

/// A CONNECT of one of the shared client ids, now and then of none.
pub(super) fn connect(rng: &mut Rng) -> Frame {
    let is_v5 = rng.bool();
    let client_id = if rng.u8(..20) == 0 {
        ""
    } else {
        pick(rng, CLIENT_IDS)
    };
    let is_clean = rng.u8(..3) == 0 || client_id.is_empty();
    let has_will = rng.u8(..3) == 0;
    let will_qos = rng.u8(..3);
    let mut flags = u8::from(is_clean) << 1;
    if has_will {
        flags |= 0x04 | will_qos << 3 | u8::from(rng.bool()) << 5;
    }
    let has_name = rng.u8(..10) == 0;
    flags |= if has_name { 0xC0 } else { 0 };
    let wishes = Wishes {
        is_v5,
        receive_maximum: draw(rng, &[1, 2, 3, 10, 65_535]),
        max_packet: draw(
            rng,
            &[1, 10, 40, 100, 300, 100_000, 100_000, 100_000, 100_000],
        ),
        alias_maximum: draw(rng, &[0, 1, 3, 100]),
    };
    let mut body = vec![
        0,
        4,
        b'M',
        b'Q',
        b'T',
        b'T',
        if is_v5 { 5 } else { 4 },
        flags,
    ];
    body.extend(draw::<u16>(rng, &[0, 60, 60, 65_535]).to_be_bytes());
    let mut properties = Properties::default();
    if rng.u8(..3) != 0 {
        properties.four(0x11, draw(rng, &[0, 1, 2, 60, 60, 60, u32::MAX]));
    }
    properties.two(0x21, wishes.receive_maximum);
    properties.four(0x27, wishes.max_packet as u32);
    properties.two(0x22, wishes.alias_maximum);
    properties.write(is_v5, &mut body);
    data(client_id.as_bytes(), &mut body);
    if has_will {
        let mut properties = Properties::default();
        if rng.bool() {
            properties.four(0x18, draw(rng, &[0, 1, 60]));
        }
        message_properties(rng, &mut properties);
        properties.write(is_v5, &mut body);
        data(pick(rng, TOPICS).as_bytes(), &mut body);
        data(&payload(rng, 120), &mut body);
    }
    if has_name {
        data(b"name", &mut body);
        data(b"password", &mut body);
    }
    Frame {
        bytes: packet(0x10, &body),
        sense: if is_v5 {
            Sense::Connect(wishes)
        } else {
            Sense::Connect(Wishes {
                receive_maximum: u16::MAX,
                max_packet: usize::MAX,
                alias_maximum: 0,
                ..wishes
            })
        },
    }
}

/// Any frame that may follow a CONNECT.
pub(super) fn any(rng: &mut Rng, is_v5: bool) -> Frame {
    match rng.u8(..100) {
        0..70 => publish(rng, is_v5),
        70..78 => subscribe(rng, is_v5),
        78..82 => unsubscribe(rng, is_v5),
        82..90 => ping(),
        90..=98 => stray(rng, is_v5),
        _ if rng.bool() => stray(rng, is_v5),
        // Perhaps of something that is on its way.
        _ => Frame {
            sense: Sense::Unknown,
            ..acknowledgement(rng.u8(4..8), rng.u16(1..50), is_v5 && rng.bool())
        },
    }
}

/// An acknowledgement of what is not there.
fn stray(rng: &mut Rng, is_v5: bool) -> Frame {
    let packet_id = rng.u16(60_000..60_050);
    acknowledgement(rng.u8(4..8), packet_id, is_v5 && rng.bool())
}

fn publish(rng: &mut Rng, is_v5: bool) -> Frame {
    let qos = rng.u8(..3);
    let packet_id = rng.u16(1..20);
    let is_again = qos != 0 && rng.u8(..8) == 0;
    let is_retained = rng.u8(..6) == 0;
    let first = 0x30 | u8::from(is_again) << 3 | qos << 1 | u8::from(is_retained);
    let mut properties = Properties::default();
    message_properties(rng, &mut properties);
    let mut topic = pick(rng, TOPICS);
    match rng.u8(..12) {
        0..3 => properties.two(0x23, rng.u16(1..=16)),
        3 if is_v5 && rng.u8(..10) == 0 => {
            // Perhaps one that was never given.
            properties.two(0x23, rng.u16(..20));
            topic = "";
        }
        _ => {}
    }
    let mut body = Vec::new();
    data(topic.as_bytes(), &mut body);
    if qos != 0 {
        body.extend(packet_id.to_be_bytes());
    }
    properties.write(is_v5, &mut body);
    let is_reading = topic.starts_with("sensors/") && rng.u8(..4) != 0;
    let is_status = topic.starts_with("status/") && rng.u8(..4) != 0;
    let value = rng.u8(..);
    body.extend(match (is_reading, is_status) {
        (true, _) => format!("{{\"value\":{value}}}").into_bytes(),
        (_, true) => b"online".to_vec(),
        _ => payload(rng, 300),
    });
    Frame {
        bytes: packet(first, &body),
        sense: match qos {
            0 => Sense::Other,
            _ => Sense::Publish { packet_id, qos },
        },
    }
}

fn message_properties(rng: &mut Rng, into: &mut Properties) {
    if rng.u8(..3) != 0 {
        return;
    }
    for _ in 0..rng.u8(..3) {
        into.pair(pick(rng, &["", "k", "key"]), pick(rng, &["", "v", "é"]));
    }
    if rng.bool() {
        into.byte(0x01, rng.u8(..2));
    }
    if rng.bool() {
        into.four(0x02, draw(rng, &[0, 1, 60, u32::MAX]));
    }
    if rng.bool() {
        into.data(0x03, b"text/plain");
    }
    if rng.bool() {
        into.data(0x08, pick(rng, TOPICS).as_bytes());
    }
    if rng.bool() {
        into.data(0x09, &payload(rng, 20));
    }
}

fn subscribe(rng: &mut Rng, is_v5: bool) -> Frame {
    let packet_id = rng.u16(1..=u16::MAX);
    let mut properties = Properties::default();
    if rng.bool() {
        properties.varying(0x0B, draw(rng, &[1, 127, 128, 268_435_455]));
    }
    let mut body = packet_id.to_be_bytes().to_vec();
    properties.write(is_v5, &mut body);
    let entries: Vec<_> = (0..rng.u8(1..4))
        .map(|_| (filter(rng), rng.u8(..3)))
        .collect();
    for (filter, qos) in &entries {
        data(filter.as_bytes(), &mut body);
        let options = match is_v5 {
            true if filter.starts_with("$share/") => rng.u8(..2) << 3 | rng.u8(..3) << 4,
            true => rng.u8(..4) << 2 | rng.u8(..3) << 4,
            false => 0,
        };
        body.push(options | qos);
    }
    Frame {
        bytes: packet(0x82, &body),
        sense: Sense::Subscribe { packet_id, entries },
    }
}

fn unsubscribe(rng: &mut Rng, is_v5: bool) -> Frame {
    let packet_id = rng.u16(1..=u16::MAX);
    let count = rng.usize(1..4);
    let mut body = packet_id.to_be_bytes().to_vec();
    Properties::default().write(is_v5, &mut body);
    for _ in 0..count {
        data(filter(rng).as_bytes(), &mut body);
    }
    Frame {
        bytes: packet(0xA2, &body),
        sense: Sense::Unsubscribe { packet_id, count },
    }
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP; `says_why`: with the reason code for success.
pub(super) fn acknowledgement(kind: u8, packet_id: u16, says_why: bool) -> Frame {
    let mut body = packet_id.to_be_bytes().to_vec();
    if says_why {
        body.push(0);
    }
    Frame {
        bytes: packet(kind << 4 | if kind == 6 { 2 } else { 0 }, &body),
        sense: match kind {
            5 => Sense::Pubrec(packet_id),
            6 => Sense::Pubrel(packet_id),
            _ => Sense::Done(packet_id),
        },
    }
}

pub(super) fn ping() -> Frame {
    Frame {
        bytes: vec![0xC0, 0],
        sense: Sense::Ping,
    }
}

/// A DISCONNECT, with MQTT 5 perhaps one that wants the will, or another end of the session.
pub(super) fn disconnect(rng: &mut Rng, is_v5: bool) -> Frame {
    let mut body = Vec::new();
    if is_v5 && rng.bool() {
        body.push(draw(rng, &[0, 4]));
        let mut properties = Properties::default();
        if rng.bool() {
            properties.four(0x11, draw(rng, &[0, 0, 1, 60]));
        }
        properties.write(true, &mut body);
    }
    Frame {
        bytes: packet(0xE0, &body),
        sense: Sense::Other,
    }
}

fn filter(rng: &mut Rng) -> String {
    let from = if rng.u8(..40) == 0 {
        BAD_FILTERS
    } else {
        FILTERS
    };
    pick(rng, from).to_owned()
}

fn payload(rng: &mut Rng, most: usize) -> Vec<u8> {
    let length = match rng.u8(..8) {
        0 => 0,
        1 => rng.usize(..=most),
        _ => rng.usize(..=most.min(16)),
    };
    (0..length).map(|_| rng.alphanumeric() as u8).collect()
}

fn pick<'t>(rng: &mut Rng, from: &[&'t str]) -> &'t str {
    from[rng.usize(..from.len())]
}

fn draw<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}
