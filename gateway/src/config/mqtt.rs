//! The section `[mqtt]`: the broker's door and its limits.

use std::net::SocketAddr;

use crate::config::kinds::{size, whole};
use crate::config::listener::{self, Anonymous};
use crate::config::section::Section;

/// The greatest remaining length of an MQTT packet (MQTT 5.0, section 1.5.5).
const PROTOCOL_MAX_PACKET: u32 = 268_435_455;

/// How the broker is reached and what a client may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mqtt {
    /// The address for MQTT 3.1.1 and 5; port 0 takes any free one. Default: `127.0.0.1:1883`.
    pub listen: SocketAddr,
    /// Connections at the same time; those beyond wait until another ends. Default: 10,000.
    pub max_connections: usize,
    /// Bytes of the longest packet; a client that sends a longer one is disconnected. Default: 256 KiB.
    pub max_packet: u32,
    /// Who may connect without a password. Beyond loopback only `Always` passes the check. Default: `Loopback`.
    pub anonymous: Anonymous,
}

impl Mqtt {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let (listen, anonymous) = listener::read(&mut section, 1883, "no users");
        let max_connections = section.setting("max_connections", 10_000, whole(1..=1_000_000));
        let max_packet =
            section.setting("max_packet", 256 * 1024, size(1024..=PROTOCOL_MAX_PACKET));
        section.finish();
        Self {
            listen,
            max_connections: max_connections.value,
            max_packet: max_packet.value,
            anonymous,
        }
    }
}
