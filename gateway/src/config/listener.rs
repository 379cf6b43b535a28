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

/// Reads `listen` and `anonymous`, and refuses a door that stands open to the network without anybody's word.
/// `nobody` says in what sense there is no one to let in, as in "no users".
pub(super) fn read(
    section: &mut Section<'_>,
    default_port: u16,
    nobody: &str,
) -> (SocketAddr, Anonymous) {
    let default = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), default_port);
    let listen = section.setting("listen", default, address);
    let anonymous = section.setting("anonymous", Anonymous::Loopback, choice(ANONYMOUS, &[]));
    let is_local = listen.value.ip().to_canonical().is_loopback();
    if listen.sound && anonymous.sound && !is_local && anonymous.value != Anonymous::Always {
        let (address, key) = (listen.value, section.path_of("anonymous"));
        let message = format!(
            "{address} is open to the network, but {nobody} are configured, so that nobody could come in from there: \
             set {key} = \"always\" to let everybody in, or listen on 127.0.0.1:{}",
            address.port()
        );
        section.refuse("listen", listen.place, message);
    }
    (listen.value, anonymous.value)
}
