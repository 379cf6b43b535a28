//! The section `[cloud]` and the sections `[[uplink]]`: where readings are forwarded to, and how. Without any they wait in
//! the outbox.

mod headers;
mod mqtt;
mod wire;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::config::doors::{self, Doors};
use crate::config::kinds::{
    choice, duration, file, flag, fraction, name, optional_rate, optional_size, secret_file, size,
    text, unexpected, whole,
};
use crate::config::quantity::{LONGEST, show_duration};
use crate::config::section::{Section, Setting};
use crate::config::uplink_url::{self, Checked, Receiver};
use crate::config::value::Value;
use crate::domain::place::Place;
use crate::domain::uplink::{CLOUD, UplinkSet};

pub use self::headers::{Header, HeaderValue};
use self::wire::{COMPRESSIONS, FORMATS};

pub use self::mqtt::MqttUplink;
pub use self::wire::{Compression, Format};

/// The way to one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// [`CLOUD`] for the section `[cloud]`; no two have the same.
    pub name: Arc<str>,
    /// Where its section begins, for error messages.
    pub place: Place,
    /// Normalised absolute URL text, `https://…`, `mqtts://…` or allowed `http://…`, `mqtt://…`; never with user or
    /// password. May hold [`TOKEN`](Self::TOKEN).
    pub url: Box<str>,
    /// `None`: HTTP.
    pub mqtt: Option<MqttUplink>,
    /// What a request carries. Default: `Batch`.
    pub format: Format,
    /// How a request's body is compressed. Default: `Gzip`; `None` for MQTT 3.1.1, which has no place to say so.
    pub compression: Compression,
    /// Readings in one request at most; at least 1. Default: 1,000.
    pub batch_max_readings: usize,
    /// Bytes of one request's body at most, before compression. Default: 512 KiB.
    pub batch_max_bytes: usize,
    /// How long a batch that is not full waits for more readings. Default: 1 s.
    pub batch_linger: Duration,
    /// Requests on their way at once at most. Default: 16, which fills a link of 200 ms round trip time at 50,000 readings
    /// a second; 1 for `Single`, whose receivers know readings by their order alone.
    pub concurrency: usize,
    /// How long one request may take in all; longer ones are retried. Default: 30 s.
    pub timeout: Duration,
    /// The first wait after a failure; each further one is twice as long, up to `retry_max`. Default: 1 s.
    pub retry_initial: Duration,
    /// The longest wait between tries; at least `retry_initial`. `Retry-After` may ask for more. Default: 5 min.
    pub retry_max: Duration,
    /// Bytes a second that are sent at most. Default: none.
    pub max_rate: Option<u64>,
    /// The part of the sending, in thousandths, that an old backlog may take while fresh readings wait. Default: 500.
    pub backlog_share: u16,
    /// Bytes that are sent in a day (UTC) at most. Default: none.
    pub daily_budget: Option<u64>,
    /// Readings that wait while for so long nothing is delivered make the gateway not ready. Default: 15 min.
    pub stalled_after: Duration,
    /// What must be in an answer for it to say that the readings were delivered.
    pub expect: Expect,
    pub headers: Vec<Header>,
    pub files: UplinkFiles,
}

/// Files that are read again when they change. They existed when they were checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UplinkFiles {
    /// PEM file of authorities that are trusted beside the system's, and where it was named.
    pub ca: Option<(PathBuf, Place)>,
    /// PEM files of the certificate by which the gateway shows who it is, and of its key, and where they were named.
    pub client: Option<(PathBuf, PathBuf, Place)>,
    /// File whose text goes into `Authorization: Bearer …`, or into the URL.
    pub bearer_token: Option<PathBuf>,
}

/// What must be in an answer of 2xx.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// The status itself.
    pub status: Option<u16>,
    /// A JSON pointer (RFC 6901) to something that is neither null nor false.
    pub pointer: Option<Box<str>>,
}

impl UplinkFiles {
    /// Where the file was named for `key`.
    pub fn place_of(&self, key: &str) -> Place {
        let ca = self.ca.as_ref().map(|(_, place)| place);
        let client = self.client.as_ref().map(|(_, _, place)| place);
        let place = if key == "ca_file" { ca } else { client };
        place.cloned().unwrap_or_default()
    }
}

/// Keys that mean something to TLS only.
const OF_TLS: &[&str] = &["ca_file", "client_certificate", "client_key"];

const INSTANT: Duration = Duration::from_millis(1);

/// Reads all uplinks, `[cloud]` first. None may lead to one of the gateway's own `doors`.
pub(super) fn read(
    root: &mut Section<'_>,
    folder: &Path,
    gateway_id: &str,
    doors: &Doors,
) -> Vec<Uplink> {
    let mut uplinks = Vec::new();
    if let Some(section) = root.section("cloud") {
        let name = CLOUD.into();
        uplinks.push(Uplink::read(section, name, folder, gateway_id, doors));
    }
    let mut seen: HashMap<Arc<str>, Place> = HashMap::from([(CLOUD.into(), Place::Defaults)]);
    let more = root.sections("uplink", |mut section| {
        let name = read_name(&mut section, &mut seen);
        let name = name.unwrap_or_default();
        Uplink::read(section, name, folder, gateway_id, doors)
    });
    uplinks.extend(more.unwrap_or_default());
    if let Some(beyond) = uplinks.get(UplinkSet::MOST) {
        let message = format!("there are more than {} uplinks", UplinkSet::MOST);
        root.refuse("uplink", beyond.place.clone(), message);
    }
    refuse_twins(root, &uplinks);
    uplinks
}

/// A broker has one client of a name at a time: two uplinks would throw each other out for ever. One that is somewhere else
/// may have several ports; on this machine each port is another program.
fn refuse_twins(root: &mut Section<'_>, uplinks: &[Uplink]) {
    let mut seen = HashMap::new();
    for uplink in uplinks {
        let Some(mqtt) = &uplink.mqtt else {
            continue;
        };
        let broker = if doors::is_loopback(&mqtt.broker.host) {
            ("", mqtt.broker.port)
        } else {
            (&*mqtt.broker.host, 0)
        };
        if let Some(first) = seen.insert((broker, &mqtt.client_id), &uplink.name) {
            let message = format!(
                "the uplink {first:?} has the client id {:?} at this broker already: give this one another client_id",
                mqtt.client_id
            );
            root.refuse("uplink", uplink.place.clone(), message);
        }
    }
}

fn read_name(section: &mut Section<'_>, seen: &mut HashMap<Arc<str>, Place>) -> Option<Arc<str>> {
    let (name, place) = section.required("name", "a name, such as \"history\"", name)?;
    match seen.get(&name) {
        None => {
            seen.insert(Arc::clone(&name), place);
        }
        Some(Place::Defaults) => {
            let message =
                format!("{name:?} is the name of the section [cloud]: choose another one");
            section.refuse("name", place, message);
        }
        Some(first) => {
            let message = format!(
                "{name:?} is the name of another uplink already, at {first}: choose another one"
            );
            section.refuse("name", place, message);
        }
    }
    Some(name)
}

impl Uplink {
    /// Stands in a URL for the text of `bearer_token_file`.
    pub const TOKEN: &str = "%{token}";

    /// Requests on their way at once at most, with what a rate or a budget makes of `concurrency`.
    pub fn at_once(&self) -> usize {
        /// More would only make what is fresh wait.
        const WITH_RATE: usize = 2;
        /// What goes beyond the budget is no more than one request.
        const WITH_BUDGET: usize = 1;
        let most = match (self.daily_budget, self.max_rate) {
            (Some(_), _) => WITH_BUDGET,
            (None, Some(_)) => WITH_RATE,
            (None, None) => usize::MAX,
        };
        self.concurrency.min(most)
    }

    /// Whether the proxy of the environment may stand in between: never in the way to this machine, and never where it
    /// would see what it passes on.
    pub fn may_use_proxy(&self) -> bool {
        uplink_url::may_use_proxy(&self.url)
    }

    /// Files are relative to `folder`.
    fn read(
        mut section: Section<'_>,
        name: Arc<str>,
        folder: &Path,
        gateway_id: &str,
        doors: &Doors,
    ) -> Self {
        let plain = section.setting("allow_plain_http", false, flag);
        let leave = plain.value || !plain.sound;
        let url = section.required(
            "url",
            "a URL such as \"https://cloud.example.com/api/sync\"",
            |value| uplink_url::check(value, leave, gateway_id),
        );
        let receiver = url.as_ref().map(|(checked, _)| checked.receiver.clone());
        let is_broker = matches!(receiver, Some(Receiver::Broker(_)));
        let format = section.setting("format", Format::Batch, choice(FORMATS, &[]));
        // Brokers cannot be told, and who wants readings one by one seldom unpacks them.
        let compressed = if is_broker || format.value == Format::Single {
            Compression::None
        } else {
            Compression::Gzip
        };
        let compression = section.setting("compression", compressed, choice(COMPRESSIONS, &[]));
        let mqtt = MqttUplink::read(&mut section, receiver, &format, folder, gateway_id);
        let max_readings = section.setting("batch_max_readings", 1000, whole(1..=100_000));
        let max_bytes = section.setting(
            "batch_max_bytes",
            512 * 1024,
            size(1024_u32..=64 * 1024 * 1024),
        );
        let at_once = if format.value == Format::Single {
            1
        } else {
            16
        };
        let concurrency = section.setting("concurrency", at_once, whole(1..=64));
        let mut time = |key, default, range| section.setting(key, default, duration(range));
        let seconds = Duration::from_secs;
        let batch_linger = time("batch_linger", seconds(1), Duration::ZERO..=LONGEST);
        let timeout = time("timeout", seconds(30), INSTANT..=LONGEST);
        let stalled_after = time("stalled_after", seconds(900), INSTANT..=LONGEST);
        let retry_initial = time("retry_initial", seconds(1), INSTANT..=LONGEST);
        let retry_max = time("retry_max", seconds(300), INSTANT..=LONGEST);
        check_order(&mut section, &retry_initial, &retry_max);
        let max_rate = section.setting("max_rate", None, optional_rate);
        let backlog_share = section.setting("backlog_share", 500, fraction);
        let daily_budget = section.setting("daily_budget", None, optional_size);
        let expect = read_expect(section.section_or_empty("expect"));
        let headers = headers::read(section.section_or_empty("headers"), folder);
        if url.as_ref().is_some_and(|(url, _)| !url.is_encrypted()) {
            section.refuse_keys(
                OF_TLS,
                "means nothing without TLS: remove it, or deliver to https:// or mqtts://",
            );
        }
        let has_own = headers
            .iter()
            .any(|header| &*header.name == "authorization");
        let has_place = url
            .as_ref()
            .is_some_and(|(url, _)| url.text.contains(Self::TOKEN));
        if has_own && !has_place {
            section.refuse_keys(
                &["bearer_token_file"],
                "means nothing beside headers.authorization: remove one of them",
            );
        }
        let files = read_files(&mut section, folder);
        let url = url.map(|(url, place)| {
            check_way(
                &mut section,
                &url,
                place,
                files.bearer_token.is_some(),
                doors,
            );
            url.text
        });
        let place = section.place();
        section.finish();
        Self {
            name,
            place,
            url: url.unwrap_or_default(),
            mqtt,
            format: format.value,
            compression: compression.value,
            batch_max_readings: max_readings.value,
            batch_max_bytes: max_bytes.value as usize,
            batch_linger: batch_linger.value,
            concurrency: concurrency.value,
            timeout: timeout.value,
            retry_initial: retry_initial.value,
            retry_max: retry_max.value,
            max_rate: max_rate.value,
            backlog_share: backlog_share.value,
            daily_budget: daily_budget.value,
            stalled_after: stalled_after.value,
            expect,
            headers,
            files,
        }
    }
}

fn check_way(
    section: &mut Section<'_>,
    url: &Checked,
    place: Place,
    has_token: bool,
    doors: &Doors,
) {
    if url.text.contains(Uplink::TOKEN) && !has_token {
        let message = "holds %{token}: name the file that has it in bearer_token_file";
        section.refuse("url", place.clone(), message);
    }
    let address = url.address();
    if let Some(door) = address.and_then(|(host, port)| doors.behind(&host, port)) {
        let message = format!("leads back to this gateway, to {door}: name another receiver");
        section.refuse("url", place, message);
    }
}

fn read_files(section: &mut Section<'_>, folder: &Path) -> UplinkFiles {
    let ca = section.setting("ca_file", None, file(folder));
    let certificate = section.setting("client_certificate", None, file(folder));
    let key = section.setting("client_key", None, secret_file(folder));
    let bearer_token = section.setting("bearer_token_file", None, secret_file(folder));
    let client = match (certificate.value, key.value) {
        (Some(file), Some(key)) => Some((file, key, certificate.place)),
        (Some(_), None) if key.sound => {
            let message = "needs client_key, the file of its key";
            section.refuse("client_certificate", certificate.place, message);
            None
        }
        (None, Some(_)) if certificate.sound => {
            let message = "needs client_certificate, the file of the certificate whose key it is";
            section.refuse("client_key", key.place, message);
            None
        }
        _ => None,
    };
    UplinkFiles {
        ca: ca.value.map(|file| (file, ca.place)),
        client,
        bearer_token: bearer_token.value,
    }
}

fn read_expect(mut section: Section<'_>) -> Expect {
    let status = section.setting("status", None, |value| {
        whole(200..=299)(value).map(|status| u16::try_from(status).ok())
    });
    let pointer = section.setting("pointer", None, |value: &Value| match text(value)? {
        pointer if pointer.starts_with('/') => Ok(Some(pointer.into())),
        _ => Err(unexpected("a JSON pointer, such as \"/ok\"", value)),
    });
    section.finish();
    Expect {
        status: status.value,
        pointer: pointer.value,
    }
}

fn check_order(section: &mut Section<'_>, initial: &Setting<Duration>, max: &Setting<Duration>) {
    if !initial.sound || !max.sound || initial.value <= max.value {
        return;
    }
    let (initial_key, max_key) = (
        section.path_of("retry_initial"),
        section.path_of("retry_max"),
    );
    let (at_initial, at_max) = (initial.place.clone(), max.place.clone());
    let (initial, max) = (show_duration(initial.value), show_duration(max.value));
    let message = format!(
        "{max_key} ({max}) is shorter than {initial_key} ({initial}): raise it, or lower {initial_key}"
    );
    if at_max == Place::Defaults {
        section.refuse("retry_initial", at_initial, message);
    } else {
        section.refuse("retry_max", at_max, message);
    }
}

#[cfg(test)]
mod tests;
