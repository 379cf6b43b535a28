//! The section `[mqtt]`: the broker's door and its limits.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU16,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::config::gateway_id;
use crate::config::kinds::{duration, optional_address, origin, path, size, whole};
use crate::config::limits::Limits;
use crate::config::listener::{self, Absent, Anonymous};
use crate::config::section::Section;
use crate::config::tls::{self, Tls};
use crate::config::value::Value;
use crate::domain::origin::Origin;

/// The greatest remaining length of an MQTT packet (MQTT 5.0, section 1.5.5).
const PROTOCOL_MAX_PACKET: u32 = 268_435_455;

/// How the broker is reached and what a client may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mqtt {
    /// The address for MQTT 3.1.1 and 5; port 0 takes any free one. Default: `127.0.0.1:1883`.
    pub listen: SocketAddr,
    /// The same over WebSocket; `None`: not at all. Default: `127.0.0.1:8083`.
    pub websocket_listen: Option<SocketAddr>,
    /// Connections at the same time; those beyond wait until another ends. Default: 10,000.
    pub max_connections: usize,
    /// Bytes of the longest packet; a client that sends a longer one is disconnected. Default: 256 KiB.
    pub max_packet: u32,
    /// Seconds; longer keep alives are cut. Default: none.
    pub max_keep_alive: Option<NonZeroU16>,
    /// Who may connect without a password. Beyond loopback the check wants users or `Always`. Default: `Loopback`.
    pub anonymous: Anonymous,
    /// Who may come with a password, and who may do what. Default: neither file.
    pub access_files: AccessFiles,
    /// Whose pages may come over WebSocket, beside those of the listener's own address. Default: none.
    pub allowed_origins: Vec<Origin>,
    /// The machine's own name, under which it may be called as well.
    pub host_name: Option<Box<str>>,
    /// What clients may cost beside these.
    pub limits: Limits,
    /// The same over TLS; `None`: not at all.
    pub tls: Option<Tls>,
}

/// The files that `access` reads, at the start and when they are reloaded. Whether they exist is for `access` to find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessFiles {
    /// `mqtt.users_file`; `None`: there are no passwords.
    pub users: Option<PathBuf>,
    /// `mqtt.acl_file`; `None`: everybody who may come may do everything.
    pub acl: Option<PathBuf>,
    /// `http.token_file`; `None`: there are no tokens.
    pub tokens: Option<PathBuf>,
}

impl Mqtt {
    /// Files are relative to `folder`.
    pub(super) fn read(mut section: Section<'_>, folder: &Path) -> Self {
        let users = section.setting("users_file", None, path(folder));
        let acl = section.setting("acl_file", None, path(folder));
        let may_be_empty = users.sound && users.value.is_none();
        let absent = may_be_empty.then_some(Absent {
            what: "no users",
            cure: Some("users_file"),
        });
        let (listen, anonymous, absent) = listener::read(&mut section, 1883, absent);
        let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, 8083));
        let websocket = section.setting("websocket_listen", Some(usual), optional_address);
        listener::check(&mut section, "websocket_listen", &websocket, absent);
        let allowed_origins = section.list("allowed_origins", origin);
        let max_connections = section.setting("max_connections", 10_000, whole(1..=1_000_000));
        let max_packet =
            section.setting("max_packet", 256 * 1024, size(1024..=PROTOCOL_MAX_PACKET));
        let limits = Limits::read(section.section_or_empty("limits"));
        let max_keep_alive = section.setting("max_keep_alive", None, keep_alive);
        let may_anybody_come = !may_be_empty || anonymous == Anonymous::Always;
        let tls = section
            .section("tls")
            .and_then(|section| Tls::read(section, folder, &tls::MQTT, may_anybody_come));
        section.finish();
        Self {
            listen,
            websocket_listen: websocket.value,
            max_connections: max_connections.value,
            max_packet: max_packet.value,
            max_keep_alive: max_keep_alive.value,
            anonymous,
            access_files: AccessFiles {
                users: users.value,
                acl: acl.value,
                tokens: None,
            },
            allowed_origins: allowed_origins.unwrap_or_default(),
            host_name: gateway_id::machine_name(),
            limits,
            tls,
        }
    }
}

/// The protocol counts keep alives in seconds, up to 65,535 (MQTT 5.0, section 3.1.2.10).
fn keep_alive(value: &Value) -> Result<Option<NonZeroU16>, String> {
    if matches!(value, Value::Text(text) | Value::Raw(text) if text.is_empty()) {
        return Ok(None);
    }
    let range = Duration::from_secs(1)..=Duration::from_secs(u16::MAX.into());
    let seconds = duration(range)(value)?.as_secs();
    Ok(u16::try_from(seconds).ok().and_then(NonZeroU16::new))
}
