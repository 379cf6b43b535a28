//! Reads the text format of Prometheus, strictly.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(super) struct Exposition {
    pub(super) families: BTreeMap<String, Family>,
}

#[derive(Debug, Default)]
pub(super) struct Family {
    pub(super) kind: String,
    pub(super) help: String,
    /// Name and labels.
    pub(super) series: Vec<Series>,
    values: Vec<f64>,
}

pub(super) type Series = (String, BTreeMap<String, String>);

impl Exposition {
    /// Each family once, its help and type before its samples.
    #[track_caller]
    pub(super) fn read(text: &str) -> Self {
        let mut found = Self::default();
        let mut help = BTreeMap::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, text) = rest.split_once(' ').expect(line);
                assert!(help.insert(name, text).is_none(), "twice: {line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect(line);
                let family = Family {
                    kind: kind.to_owned(),
                    help: help[name].to_owned(),
                    ..Family::default()
                };
                let before = found.families.insert(name.to_owned(), family);
                assert!(before.is_none(), "twice: {line}");
            } else {
                let (series, value) = line.rsplit_once(' ').expect(line);
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let family = found.family_mut(name).expect(line);
                let labels = labels.strip_suffix('}').expect(line);
                let series = (name.to_owned(), read_labels(labels));
                family.series.push(series);
                family.values.push(value.parse().expect(line));
            }
        }
        found
    }

    fn family_mut(&mut self, sample: &str) -> Option<&mut Family> {
        let name = self.family_of(sample)?;
        self.families.get_mut(&name)
    }

    /// The family of a sample by this name, as it may be asked for.
    pub(super) fn family_of(&self, sample: &str) -> Option<String> {
        let histogram = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| sample.strip_suffix(suffix));
        let of_histogram = histogram.filter(|name| self.is_histogram(name));
        let plain =
            (self.families.contains_key(sample) && !self.is_histogram(sample)).then_some(sample);
        of_histogram.or(plain).map(str::to_owned)
    }

    fn is_histogram(&self, name: &str) -> bool {
        self.families
            .get(name)
            .is_some_and(|family| family.kind == "histogram")
    }

    /// Over all series that have the label, given as in `reason=syntax`.
    pub(super) fn sum(&self, name: &str, label: &str) -> f64 {
        let family = &self.families[name];
        let samples = family.series.iter().zip(&family.values);
        let wanted = samples.filter(|((_, labels), _)| match label.split_once('=') {
            Some((label, value)) => labels.get(label).is_some_and(|found| found == value),
            None => true,
        });
        wanted.map(|(_, value)| value).sum()
    }
}

impl Family {
    /// Of all its series, without the one that tells buckets apart.
    pub(super) fn labels(&self) -> BTreeSet<&str> {
        let labels = self.series.iter().flat_map(|(_, labels)| labels.keys());
        labels
            .map(String::as_str)
            .filter(|label| *label != "le")
            .collect()
    }
}

/// No value of ours has a comma or a quotation mark in it.
fn read_labels(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(',').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (label, value) = pair.split_once('=').expect(text);
            (label.to_owned(), value.trim_matches('"').to_owned())
        })
        .collect()
}
