//! What broker and HTTP have in common: an address to listen on, and who may come there without credentials.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::kinds::{address, choice};
use crate::config::section::Section;

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
/// `absent` is `None` if there are some who can prove who they are.
pub(super) fn read(
    section: &mut Section<'_>,
    default_port: u16,
    absent: Option<Absent>,
) -> (SocketAddr, Anonymous) {
    let default = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), default_port);
    let listen = section.setting("listen", default, address);
    let anonymous = section.setting("anonymous", Anonymous::Loopback, choice(ANONYMOUS, &[]));
    let is_local = listen.value.ip().to_canonical().is_loopback();
    let is_shut = listen.sound && anonymous.sound && !is_local;
    if let Some(absent) = absent.filter(|_| is_shut && anonymous.value != Anonymous::Always) {
        let message = nobody_could_come(section, listen.value, absent);
        section.refuse("listen", listen.place, message);
    }
    (listen.value, anonymous.value)
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
