//! The section `[http]`: the door of the API.

use std::net::SocketAddr;

use crate::config::gateway_id;
use crate::config::listener::{self, Absent, Anonymous};
use crate::config::section::Section;

/// How the API is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// The address; port 0 takes any free one. Default: `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Who may call without a token. Beyond loopback only `Always` passes the check. Default: `Loopback`.
    pub anonymous: Anonymous,
    /// The machine's own name, under which it may be called as well.
    pub host_name: Option<Box<str>>,
}

const NO_TOKENS: Absent = Absent {
    what: "no tokens",
    cure: None,
};

impl Http {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let (listen, anonymous, _) = listener::read(&mut section, 8080, Some(NO_TOKENS));
        section.finish();
        Self {
            listen,
            anonymous,
            host_name: gateway_id::machine_name(),
        }
    }
}
