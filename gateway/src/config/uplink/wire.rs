//! How readings stand on the wire: names of formats and compressions.

/// What one request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON object with many readings and the ids that make delivery idempotent.
    Batch,
    /// One reading, as the simplest receivers want it; a backlog drains one request at a time.
    Single,
    /// A JSON object on each line.
    Ndjson,
    /// Line protocol of InfluxDB.
    Influx,
    /// Telemetry of a ThingsBoard gateway.
    Thingsboard,
}

/// How a request's body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all: for receivers that do not know `Content-Encoding`.
    None,
    /// `Content-Encoding: gzip`.
    Gzip,
    /// `Content-Encoding: zstd` (RFC 8878): smaller, for less work.
    Zstd,
}

pub(super) const FORMATS: &[(&str, Format)] = &[
    ("batch", Format::Batch),
    ("single", Format::Single),
    ("ndjson", Format::Ndjson),
    ("influx", Format::Influx),
    ("thingsboard", Format::Thingsboard),
];
pub(super) const COMPRESSIONS: &[(&str, Compression)] = &[
    ("none", Compression::None),
    ("gzip", Compression::Gzip),
    ("zstd", Compression::Zstd),
];

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
