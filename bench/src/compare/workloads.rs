//! What is asked of every server: who publishes what, how fast, and who listens.

use std::fmt::Write;

use anyhow::Result;

use crate::frames::{Publishes, push_reading, push_reading_of, sensor_and_hundredths};
use crate::listening::Transport;

/// A load of its own, for each server afresh.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    /// As `--case` finds it.
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) transport: Transport,
    pub(crate) clients: u64,
    pub(crate) qos: u8,
    pub(crate) payload: Payload,
    pub(crate) pace: Pace,
    /// Subscribers of everything, at QoS 0.
    pub(crate) dashboards: usize,
    /// Clients that are connected and say nothing.
    pub(crate) idle: u64,
}

impl Workload {
    /// What one of its clients publishes.
    pub(crate) fn publishes_of(&self, client: u64) -> Result<Publishes> {
        let (count, payload) = (self.pace.publishes(), self.payload);
        let write = |seq, to: &mut String| payload.write(seq, to);
        match self.transport {
            Transport::Mqtt => Publishes::share_of(client, self.clients, count, self.qos, write),
            Transport::Http => Publishes::posts_of(client, self.clients, count, write),
        }
    }
}

/// What a publish carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// A JSON object of some 45 bytes.
    Reading,
    /// The same of so many sensors; all others have 1,000.
    Of(u64),
    /// A bare number.
    Number,
    /// An object with an attribute that fills it up to so many bytes.
    Padded(usize),
    /// An array of so many objects.
    Array(u64),
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As fast as acknowledgements come: so many on their way for each client, and publishes in all.
    Flood { in_flight: usize, publishes: u64 },
    /// So many publishes a second, whatever the server does.
    Steady { per_second: u64, seconds: u64 },
}

impl Pace {
    /// Publishes of all clients together.
    pub(crate) fn publishes(self) -> u64 {
        match self {
            Self::Flood { publishes, .. } => publishes,
            Self::Steady {
                per_second,
                seconds,
            } => per_second * seconds,
        }
    }
}

pub(crate) const FLOOD: Workload = Workload {
    name: "a flood",
    what: "50 clients, QoS 1, 20 in flight",
    transport: Transport::Mqtt,
    clients: 50,
    qos: 1,
    payload: Payload::Reading,
    pace: Pace::Flood {
        in_flight: 20,
        publishes: 200_000,
    },
    dashboards: 0,
    idle: 0,
};

const fn steady(name: &'static str, what: &'static str, per_second: u64) -> Workload {
    Workload {
        name,
        what,
        pace: Pace::Steady {
            per_second,
            seconds: 10,
        },
        ..FLOOD
    }
}

const fn flood_of(
    name: &'static str,
    what: &'static str,
    payload: Payload,
    publishes: u64,
) -> Workload {
    Workload {
        name,
        what,
        payload,
        pace: Pace::Flood {
            in_flight: 20,
            publishes,
        },
        ..FLOOD
    }
}

const fn posts(
    name: &'static str,
    what: &'static str,
    payload: Payload,
    requests: u64,
) -> Workload {
    Workload {
        name,
        what,
        transport: Transport::Http,
        clients: 64,
        payload,
        pace: Pace::Flood {
            in_flight: 1,
            publishes: requests,
        },
        ..FLOOD
    }
}

/// In the order in which they are reported.
pub(crate) const ALL: &[Workload] = &[
    FLOOD,
    steady(
        "b steady 1,000/s",
        "50 clients, QoS 1, 1,000 readings a second for 10 s",
        1_000,
    ),
    steady(
        "b steady 5,000/s",
        "50 clients, QoS 1, 5,000 readings a second for 10 s",
        5_000,
    ),
    steady(
        "b steady 20,000/s",
        "50 clients, QoS 1, 20,000 readings a second for 10 s",
        20_000,
    ),
    Workload {
        clients: 1_000,
        ..steady(
            "c 1,000 clients",
            "1,000 clients, QoS 1, 10 readings a second each for 10 s",
            10_000,
        )
    },
    Workload {
        idle: 9_900,
        ..steady(
            "c 10,000 clients",
            "50 clients, QoS 1, 1,000 readings a second for 10 s, beside 9,900 that say nothing",
            1_000,
        )
    },
    Workload {
        qos: 0,
        ..flood_of(
            "d QoS 0",
            "50 clients, QoS 0, as fast as the server reads",
            Payload::Reading,
            200_000,
        )
    },
    Workload {
        qos: 2,
        ..flood_of(
            "d QoS 2",
            "50 clients, QoS 2, 20 in flight",
            Payload::Reading,
            100_000,
        )
    },
    flood_of("e 5 bytes", "as a, bare numbers", Payload::Number, 200_000),
    flood_of(
        "e 1 KiB",
        "as a, objects of 1 KiB",
        Payload::Padded(1 << 10),
        100_000,
    ),
    flood_of(
        "e 16 KiB",
        "as a, objects of 16 KiB",
        Payload::Padded(16 << 10),
        10_000,
    ),
    flood_of(
        "e arrays of 100",
        "as a, arrays of 100 objects",
        Payload::Array(100),
        5_000,
    ),
    posts(
        "f HTTP single",
        "64 connections that stay open, one `POST /data` in flight each, a reading in each",
        Payload::Reading,
        50_000,
    ),
    posts(
        "f HTTP batches",
        "the same with 100 readings in each",
        Payload::Array(100),
        5_000,
    ),
    Workload {
        dashboards: 50,
        ..steady(
            "h 50 dashboards",
            "as b at 1,000/s, 50 subscribers of everything",
            1_000,
        )
    },
];

/// What a store of a million times as many readings is grown by.
pub(crate) const FILL: Workload = flood_of(
    "filling",
    "50 clients, QoS 1, 20 in flight, arrays of 100",
    Payload::Array(100),
    10_000,
);

/// What is asked of a store that has grown.
pub(crate) const GROWTH: &[Workload] = &[
    Workload {
        name: "i growth, flood",
        what: "as a, with so many readings stored before",
        ..FLOOD
    },
    steady(
        "i growth, 5,000/s",
        "as b at 5,000/s, with so many readings stored before",
        5_000,
    ),
];

impl Payload {
    /// Readings in one publish.
    pub(crate) fn readings(self) -> u64 {
        match self {
            Self::Array(count) => count,
            _ => 1,
        }
    }

    /// Whether each reading tells its number.
    pub(crate) fn has_seq(self) -> bool {
        self != Self::Number
    }

    fn write(self, seq: u64, to: &mut String) -> Result<()> {
        match self {
            Self::Number => {
                let hundredths = sensor_and_hundredths(seq).1;
                write!(to, "{}.{:02}", hundredths / 100, hundredths % 100)?;
            }
            Self::Reading => push_reading(seq, to)?,
            Self::Of(sensors) => push_reading_of(seq % sensors, seq, to)?,
            Self::Padded(bytes) => {
                Self::Reading.write(seq, to)?;
                to.pop();
                to.push_str(r#","note":""#);
                let filled = bytes.saturating_sub(to.len() + 2);
                to.extend(std::iter::repeat_n('.', filled));
                to.push_str(r#""}"#);
            }
            Self::Array(count) => {
                for (number, seq) in (seq * count..(seq + 1) * count).enumerate() {
                    to.push(if number == 0 { '[' } else { ',' });
                    Self::Reading.write(seq, to)?;
                }
                to.push(']');
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_what_they_are_called() -> Result<()> {
        let check = |payload: Payload, expected: &str| -> Result<()> {
            let mut text = String::new();
            payload.write(1, &mut text)?;
            assert_eq!(text, expected);
            Ok(())
        };
        check(Payload::Number, "61.75")?;
        check(
            Payload::Reading,
            r#"{"sensor_id":"s1","value":61.75,"seq":1}"#,
        )?;
        check(
            Payload::Array(2),
            r#"[{"sensor_id":"s2","value":23.45,"seq":2},{"sensor_id":"s3","value":85.15,"seq":3}]"#,
        )?;
        check(
            Payload::Of(1),
            r#"{"sensor_id":"s0","value":61.75,"seq":1}"#,
        )?;
        let mut text = String::new();
        Payload::Padded(1024).write(1, &mut text)?;
        assert_eq!(text.len(), 1024);
        let value: serde_json::Value = serde_json::from_str(&text)?;
        assert_eq!(value["seq"], 1);
        Ok(())
    }

    #[test]
    fn each_publish_is_of_one_client() -> Result<()> {
        let workload = Workload {
            clients: 3,
            pace: Pace::Flood {
                in_flight: 1,
                publishes: 10,
            },
            ..FLOOD
        };
        let counts = (0..3).map(|client| Ok(workload.publishes_of(client)?.count()));
        assert_eq!(counts.collect::<Result<Vec<_>>>()?, [4, 3, 3]);
        let publishes = workload.publishes_of(1)?;
        let second =
            b"\x32\x36\x00\x0asensors/s4\x00\x02{\"sensor_id\":\"s4\",\"value\":46.85,\"seq\":4}";
        assert_eq!(publishes.frames(1, 2), second);
        Ok(())
    }
}
