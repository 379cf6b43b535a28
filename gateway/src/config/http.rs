//! The section `[http]`: the door of the API.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::config::gateway_id;
use crate::config::kinds::{origin, path};
use crate::config::listener::{self, Absent, Anonymous};
use crate::config::section::Section;
use crate::config::tls::{self, Tls};
use crate::domain::origin::Origin;

/// How the API is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// The address; port 0 takes any free one. Default: `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Who may call without a token. Beyond loopback the check wants tokens or `Always`. Default: `Loopback`.
    pub anonymous: Anonymous,
    /// Hashes of the tokens that let somebody in; `None`: there are no tokens, which is the default.
    pub token_file: Option<PathBuf>,
    /// Whose pages may call, beside the gateway's own; their hosts are names of the gateway as well. Default: none.
    pub allowed_origins: Vec<Origin>,
    /// The machine's own name, under which it may be called as well.
    pub host_name: Option<Box<str>>,
    /// The same over TLS; `None`: not at all.
    pub tls: Option<Tls>,
}

impl Http {
    /// Files are relative to `folder`.
    pub(super) fn read(mut section: Section<'_>, folder: &Path) -> Self {
        let tokens = section.setting("token_file", None, path(folder));
        let may_be_empty = tokens.sound && tokens.value.is_none();
        let absent = may_be_empty.then_some(Absent {
            what: "no tokens",
            cure: Some("token_file"),
        });
        let (listen, anonymous, _) = listener::read(&mut section, 8080, absent);
        let allowed_origins = section.list("allowed_origins", origin);
        let may_anybody_come = !may_be_empty || anonymous == Anonymous::Always;
        let tls = section
            .section("tls")
            .and_then(|section| Tls::read(section, folder, &tls::HTTP, may_anybody_come));
        section.finish();
        Self {
            listen,
            anonymous,
            token_file: tokens.value,
            allowed_origins: allowed_origins.unwrap_or_default(),
            host_name: gateway_id::machine_name(),
            tls,
        }
    }
}
