//! What broker and HTTP have in common: an address to listen on, and who may come there without credentials.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::kinds::{address, choice};
use crate::config::section::{Section, Setting};

/// Who may come without a password or token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anonymous {
    /// Nobody: every client has to prove who it is.
    Never,
    /// Clients on the gateway's own machine; the address they come from decides.
    Loopback,
    /// Everybody who reaches the port may do all there is to do.
    Always,
}

impl Anonymous {
    /// Whether a client from there may come without any proof.
    pub fn welcomes(self, peer: IpAddr) -> bool {
        match self {
            Self::Never => false,
            Self::Loopback => peer.to_canonical().is_loopback(),
            Self::Always => true,
        }
    }
}

const ANONYMOUS: &[(&str, Anonymous)] = &[
    ("never", Anonymous::Never),
    ("loopback", Anonymous::Loopback),
    ("always", Anonymous::Always),
];

/// What is not configured, so that nobody could come in from the network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Absent {
    /// As in "no users".
    pub(super) what: &'static str,
    /// The key of this section that names some, if there is one.
    pub(super) cure: Option<&'static str>,
}

/// Reads `listen` and `anonymous`, and refuses a door that stands open to the network without anybody's word.
/// `absent` is `None` if there are some who can prove who they are. Gives it back if it counts: not where everybody may
/// come.
pub(super) fn read(
    section: &mut Section<'_>,
    default_port: u16,
    absent: Option<Absent>,
) -> (SocketAddr, Anonymous, Option<Absent>) {
    let default = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), default_port);
    let listen = section.setting("listen", default, address);
    let anonymous = section.setting("anonymous", Anonymous::Loopback, choice(ANONYMOUS, &[]));
    let absent = absent.filter(|_| anonymous.sound && anonymous.value != Anonymous::Always);
    check(section, "listen", &listen, absent);
    (listen.value, anonymous.value, absent)
}

/// Refuses the address `key` if it stands open to the network and nobody could come in from there.
pub(super) fn check<A: Copy + Into<Option<SocketAddr>>>(
    section: &mut Section<'_>,
    key: &'static str,
    listen: &Setting<A>,
    absent: Option<Absent>,
) {
    let open = listen
        .value
        .into()
        .filter(|address| listen.sound && is_open(*address));
    if let Some((address, absent)) = open.zip(absent) {
        let message = nobody_could_come(section, address, absent);
        section.refuse(key, listen.place.clone(), message);
    }
}

/// Whether others than this machine can reach it.
pub(super) fn is_open(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

fn nobody_could_come(section: &Section<'_>, address: SocketAddr, absent: Absent) -> String {
    let Absent { what, cure } = absent;
    let files = cure.map(|key| format!("name them in {}, ", section.path_of(key)));
    format!(
        "{address} is open to the network, but {what} are configured, so that nobody could come in from there: \
         {}set {} = \"always\" to let everybody in, or listen on 127.0.0.1:{}",
        files.unwrap_or_default(),
        section.path_of("anonymous"),
        address.port()
    )
}
