//! A section `[….tls]`: a door with a certificate. Its absence means that there is none.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::config::kinds::{address, file, optional_address};
use crate::config::listener::is_open;
use crate::config::section::{Section, Setting};
use crate::domain::place::Place;

/// A listener that speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Its address; port 0 takes any free one. Default: port 8883 of all addresses, of HTTP 8443.
    pub listen: SocketAddr,
    /// The same over WebSocket; `None`: not at all, which is the default. HTTP has its WebSocket on the same port.
    pub websocket_listen: Option<SocketAddr>,
    /// What it shows and whom it trusts.
    pub files: TlsFiles,
    /// Where the section stands, for error messages.
    pub place: Place,
}

/// PEM files, which existed when they were checked. What is in them is for `tls` to find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the gateway's own certificate first. Default: `server.crt`.
    pub certificate: PathBuf,
    /// Its key. Default: `server.key`.
    pub private_key: PathBuf,
    /// The authorities that sign the certificates of clients. `None`: clients need none.
    pub client_ca: Option<PathBuf>,
}

/// What is particular to one of the sections.
#[derive(Debug)]
pub(super) struct Door {
    /// The section above, `mqtt`.
    name: &'static str,
    port: u16,
    has_websocket: bool,
    /// Who proves without a certificate who they are, and the key that names their file.
    known: (&'static str, &'static str),
}

pub(super) const MQTT: Door = Door {
    name: "mqtt",
    port: 8883,
    has_websocket: true,
    known: ("users", "users_file"),
};

pub(super) const HTTP: Door = Door {
    name: "http",
    port: 8443,
    has_websocket: false,
    known: ("tokens", "token_file"),
};

impl Tls {
    /// Files are relative to `folder`. `may_anybody_come` says whether there is anybody who may come from the network
    /// without a certificate. `None` if a file is at fault.
    pub(super) fn read(
        mut section: Section<'_>,
        folder: &Path,
        door: &Door,
        may_anybody_come: bool,
    ) -> Option<Self> {
        let place = section.place();
        let certificate = required_file(&mut section, "certificate", "server.crt", folder);
        let private_key = required_file(&mut section, "private_key", "server.key", folder);
        let client_ca = section.setting("client_ca", None, file(folder));
        let default = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), door.port);
        let listen = section.setting("listen", default, address);
        let websocket = door
            .has_websocket
            .then(|| section.setting("websocket_listen", None, optional_address));
        let has_client_ca = !client_ca.sound || client_ca.value.is_some();
        if !may_anybody_come && !has_client_ca {
            refuse_if_open(&mut section, door, "listen", &listen);
            if let Some(websocket) = &websocket {
                refuse_if_open(&mut section, door, "websocket_listen", websocket);
            }
        }
        section.finish();
        Some(Self {
            listen: listen.value,
            websocket_listen: websocket.and_then(|websocket| websocket.value),
            files: TlsFiles {
                certificate: certificate?,
                private_key: private_key?,
                client_ca: client_ca.sound.then_some(client_ca.value)?,
            },
            place,
        })
    }
}

fn refuse_if_open<A: Copy + Into<Option<SocketAddr>>>(
    section: &mut Section<'_>,
    door: &Door,
    key: &'static str,
    listen: &Setting<A>,
) {
    let address = listen.value.into().filter(|_| listen.sound);
    if let Some(address) = address.filter(|address| is_open(*address)) {
        let place = match &listen.place {
            Place::Defaults => section.place(),
            place => place.clone(),
        };
        section.refuse(key, place, nobody_could_come(door, address));
    }
}

fn nobody_could_come(door: &Door, address: SocketAddr) -> String {
    let Door { name, known, .. } = door;
    let (who, key) = known;
    format!(
        "{address} is open to the network, but neither {who} nor client certificates are configured, so that nobody \
         could come in from there: name {who} in {name}.{key} or an authority in {name}.tls.client_ca, \
         set {name}.anonymous = \"always\" to let everybody in, or listen on 127.0.0.1:{}",
        address.port()
    )
}

/// The file that `key` names, or else `default`. It has to exist either way.
fn required_file(
    section: &mut Section<'_>,
    key: &'static str,
    default: &str,
    folder: &Path,
) -> Option<PathBuf> {
    let setting = section.setting(key, None, |value| match file(folder)(value)? {
        Some(path) => Ok(Some(path)),
        None => Err("expected the path of a file, found \"\"".to_owned()),
    });
    if !setting.sound || setting.value.is_some() {
        return setting.value;
    }
    let path = folder.join(default);
    if !path.is_file() {
        let message = format!("is missing, and there is no file {path:?}");
        section.refuse(key, section.place(), message);
        return None;
    }
    Some(path)
}
