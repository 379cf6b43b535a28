//! The gateway's own names. A page from elsewhere can make any other name lead here (DNS rebinding): its requests then
//! look as if they came from the gateway's own pages.

use crate::config::Anonymous;
use crate::domain::origin::Authority;

/// The names under which the gateway may be called.
#[derive(Clone, Debug)]
pub struct OwnNames {
    host_name: Option<Box<str>>,
    is_any: bool,
}

impl OwnNames {
    /// Addresses, `localhost` and the machine's own name, also as it is called on its own network (RFC 6762); where everybody
    /// may come anyway, any name.
    pub fn new(anonymous: Anonymous, host_name: Option<Box<str>>) -> Self {
        Self {
            host_name,
            is_any: anonymous == Anonymous::Always,
        }
    }

    /// Whether nobody elsewhere can make `host` lead here.
    pub fn include(&self, host: &Authority) -> bool {
        let own = self.host_name.as_deref();
        self.is_any
            || host.is_address()
            || host.host() == "localhost"
            || own.is_some_and(|own| is_of_machine(own, host.host()))
    }
}

fn is_of_machine(name: &str, host: &str) -> bool {
    let host = host.strip_suffix(".local").unwrap_or(host);
    name.eq_ignore_ascii_case(host)
}
