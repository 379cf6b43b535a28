//! The section `[cloud]`: where readings are forwarded to, and how. Without it they wait in the outbox.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::config::cloud_url;
use crate::config::kinds::{choice, duration, file, flag, secret_file, size, whole};
use crate::config::quantity::{LONGEST, show_duration};
use crate::config::section::{Section, Setting};
use crate::domain::rule::Place;

/// The way to the cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloud {
    /// Normalised absolute URL text, `https://…` or allowed `http://…`; never with user or password.
    pub url: Box<str>,
    /// What a request carries. Default: `Batch`.
    pub format: Format,
    /// How a request's body is compressed. Default: `Gzip`.
    pub compression: Compression,
    /// Readings in one request at most; at least 1. Default: 1,000.
    pub batch_max_readings: usize,
    /// Bytes of one request's body at most, before compression. Default: 512 KiB.
    pub batch_max_bytes: usize,
    /// How long a batch that is not full waits for more readings. Default: 1 s.
    pub batch_linger: Duration,
    /// How long one request may take in all; longer ones are retried. Default: 30 s.
    pub timeout: Duration,
    /// The first wait after a failure; each further one is twice as long, up to `retry_max`. Default: 1 s.
    pub retry_initial: Duration,
    /// The longest wait between tries; at least `retry_initial`. `Retry-After` may ask for more. Default: 5 min.
    pub retry_max: Duration,
    /// PEM file of authorities that are trusted beside the system's. It existed when it was checked.
    pub ca_file: Option<PathBuf>,
    /// Where it was named, for error messages.
    pub ca_file_place: Place,
    /// File whose text goes into `Authorization: Bearer …`. It existed when it was checked.
    pub bearer_token_file: Option<PathBuf>,
}

/// What one request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON object with many readings and the ids that make delivery idempotent.
    Batch,
    /// One reading, as the simplest receivers want it; a backlog drains one request at a time.
    Single,
}

/// How a request's body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all: for receivers that do not know `Content-Encoding`.
    None,
    /// `Content-Encoding: gzip`.
    Gzip,
}

const FORMATS: &[(&str, Format)] = &[("batch", Format::Batch), ("single", Format::Single)];
const LATER_FORMATS: &[&str] = &["ndjson", "influx", "thingsboard"];
const COMPRESSIONS: &[(&str, Compression)] =
    &[("none", Compression::None), ("gzip", Compression::Gzip)];
const LATER_COMPRESSIONS: &[&str] = &["zstd"];

impl Format {
    /// Its name in the file and in recorded batches.
    pub fn name(self) -> &'static str {
        name_of(self, FORMATS)
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        with_name(name, FORMATS)
    }
}

impl Compression {
    /// Its name in the file and in recorded batches.
    pub fn name(self) -> &'static str {
        name_of(self, COMPRESSIONS)
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        with_name(name, COMPRESSIONS)
    }
}

fn name_of<T: Copy + PartialEq>(wanted: T, table: &[(&'static str, T)]) -> &'static str {
    let found = table.iter().find(|(_, value)| *value == wanted);
    found.expect("every value has its line in the table").0
}

fn with_name<T: Copy>(wanted: &str, table: &[(&'static str, T)]) -> Option<T> {
    let found = table.iter().find(|(name, _)| *name == wanted);
    found.map(|(_, value)| *value)
}

const INSTANT: Duration = Duration::from_millis(1);

impl Cloud {
    /// Whether the proxy of the environment may stand in between: never in the way to this machine, and never where it
    /// would see what it passes on.
    pub fn may_use_proxy(&self) -> bool {
        cloud_url::may_use_proxy(&self.url)
    }

    /// Files are relative to `folder`.
    pub(super) fn read(mut section: Section<'_>, folder: &Path) -> Self {
        let plain = section.setting("allow_plain_http", false, flag);
        let leave = plain.value || !plain.sound;
        let url = section.required(
            "url",
            "a URL such as \"https://cloud.example.com/api/sync\"",
            |value| cloud_url::check(value, leave),
        );
        let format = section.setting("format", Format::Batch, choice(FORMATS, LATER_FORMATS));
        let compression = section.setting(
            "compression",
            Compression::Gzip,
            choice(COMPRESSIONS, LATER_COMPRESSIONS),
        );
        let max_readings = section.setting("batch_max_readings", 1000, whole(1..=100_000));
        let max_bytes =
            section.setting("batch_max_bytes", 512 * 1024, size(1024..=64 * 1024 * 1024));
        let batch_linger = section.setting(
            "batch_linger",
            Duration::from_secs(1),
            duration(Duration::ZERO..=LONGEST),
        );
        let timeout = section.setting(
            "timeout",
            Duration::from_secs(30),
            duration(INSTANT..=LONGEST),
        );
        let retry_initial = section.setting(
            "retry_initial",
            Duration::from_secs(1),
            duration(INSTANT..=LONGEST),
        );
        let retry_max = section.setting(
            "retry_max",
            Duration::from_secs(300),
            duration(INSTANT..=LONGEST),
        );
        check_order(&mut section, &retry_initial, &retry_max);
        let ca_file = section.setting("ca_file", None, file(folder));
        let bearer_token_file = section.setting("bearer_token_file", None, secret_file(folder));
        section.finish();
        Self {
            url: url.map(|(url, _)| url).unwrap_or_default(),
            format: format.value,
            compression: compression.value,
            batch_max_readings: max_readings.value,
            batch_max_bytes: max_bytes.value as usize,
            batch_linger: batch_linger.value,
            timeout: timeout.value,
            retry_initial: retry_initial.value,
            retry_max: retry_max.value,
            ca_file: ca_file.value,
            ca_file_place: ca_file.place,
            bearer_token_file: bearer_token_file.value,
        }
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
