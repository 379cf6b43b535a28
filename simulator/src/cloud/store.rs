//! What the cloud keeps: pure, no network and no clock.
//!
//! Invariants: `readings_received == distinct + duplicates`; a key has one body for ever.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use crate::cloud::{
    stats::{Delivered, Stats},
    submission::{Batch, Single, Submission},
};

/// All readings and keys that the cloud has seen.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) stats: Stats,
    remember_values: bool,
    hasher: RandomState,
    keys: HashMap<Box<str>, Key>,
    sources: HashMap<(Arc<str>, Arc<str>), Source>,
    sensors: HashSet<Arc<str>>,
}

/// What is known of an `Idempotency-Key`.
#[derive(Debug)]
struct Key {
    body_hash: u64,
    stored: bool,
}

/// The readings of one store of one gateway.
#[derive(Debug)]
enum Source {
    Ids(HashSet<i64>),
    Values(HashMap<i64, Kept>),
}

#[derive(Debug, PartialEq)]
struct Kept {
    sensor_id: Arc<str>,
    value: f64,
    seq: Option<u64>,
}

/// What has become of the readings of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) stored: u64,
    pub(super) duplicates: u64,
}

impl Store {
    pub(super) fn new(remember_values: bool) -> Self {
        Self {
            stats: Stats::default(),
            remember_values,
            hasher: RandomState::new(),
            keys: HashMap::new(),
            sources: HashMap::new(),
            sensors: HashSet::new(),
        }
    }

    /// Remembers which decoded body `key` stands for. False, and counted, if it stood for another.
    pub(super) fn see_key(&mut self, key: &str, body: &[u8]) -> bool {
        let body_hash = self.hasher.hash_one(body);
        match self.keys.get(key) {
            Some(known) if known.body_hash != body_hash => {
                self.stats.key_conflicts += 1;
                false
            }
            Some(_) => true,
            None => {
                let stored = false;
                self.keys.insert(key.into(), Key { body_hash, stored });
                true
            }
        }
    }

    /// Stores what was not stored before. `key` has been seen.
    pub(super) fn store(&mut self, key: &str, submission: &Submission<'_>) -> Outcome {
        let outcome = match submission {
            Submission::Batch(batch) => self.store_batch(batch),
            Submission::Single(single) => self.store_single(key, single),
        };
        if let Some(key) = self.keys.get_mut(key) {
            key.stored = true;
        }
        let stats = &mut self.stats;
        stats.accepted_batches += 1;
        stats.distinct += outcome.stored;
        stats.duplicates += outcome.duplicates;
        stats.readings_received += outcome.stored + outcome.duplicates;
        outcome
    }

    fn store_batch(&mut self, batch: &Batch<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        let source = source(
            &mut self.sources,
            self.remember_values,
            (&batch.gateway_id, &batch.store_id),
        );
        for reading in &batch.readings {
            let new = match source {
                Source::Ids(ids) => ids.insert(reading.id),
                Source::Values(values) => {
                    let kept = Kept {
                        sensor_id: intern(&mut self.sensors, &reading.sensor_id),
                        value: reading.value,
                        seq: reading.seq(),
                    };
                    let before = values.get(&reading.id);
                    if before.is_some_and(|before| *before != kept) {
                        self.stats.id_conflicts += 1;
                    }
                    let new = before.is_none();
                    if new {
                        values.insert(reading.id, kept);
                    }
                    new
                }
            };
            if new {
                outcome.stored += 1;
            } else {
                outcome.duplicates += 1;
            }
        }
        outcome
    }

    /// A single reading has no id: its key tells whether it came before.
    fn store_single(&mut self, key: &str, single: &Single<'_>) -> Outcome {
        if self.keys.get(key).is_some_and(|key| key.stored) {
            return Outcome {
                stored: 0,
                duplicates: 1,
            };
        }
        match source(&mut self.sources, self.remember_values, ("", "")) {
            // Keys tell them apart; ids would say nothing.
            Source::Ids(_) => {}
            Source::Values(values) => {
                let id = i64::try_from(values.len()).expect("invariant: memory is finite") + 1;
                let kept = Kept {
                    sensor_id: intern(&mut self.sensors, &single.sensor_id),
                    value: single.value,
                    seq: None,
                };
                values.insert(id, kept);
            }
        }
        Outcome {
            stored: 1,
            duplicates: 0,
        }
    }

    /// The ids stored, in order, of all gateways.
    pub(super) fn ids(&self) -> Vec<i64> {
        let mut ids: Vec<i64> = self
            .sources
            .values()
            .flat_map(|source| match source {
                Source::Ids(ids) => ids.iter().copied().collect::<Vec<_>>(),
                Source::Values(values) => values.keys().copied().collect(),
            })
            .collect();
        ids.sort_unstable();
        ids
    }

    /// The readings stored, by gateway, store and id; none unless values are remembered.
    pub(super) fn delivered(&self) -> Vec<Delivered> {
        let mut delivered = Vec::new();
        for ((gateway_id, store_id), source) in &self.sources {
            let Source::Values(values) = source else {
                continue;
            };
            delivered.extend(values.iter().map(|(id, kept)| Delivered {
                gateway_id: gateway_id.clone(),
                store_id: store_id.clone(),
                id: *id,
                sensor_id: kept.sensor_id.clone(),
                value: kept.value,
                seq: kept.seq,
            }));
        }
        delivered.sort_unstable_by(|a, b| {
            (&a.gateway_id, &a.store_id, a.id).cmp(&(&b.gateway_id, &b.store_id, b.id))
        });
        delivered
    }
}

fn source<'a>(
    sources: &'a mut HashMap<(Arc<str>, Arc<str>), Source>,
    remember_values: bool,
    (gateway_id, store_id): (&str, &str),
) -> &'a mut Source {
    sources
        .entry((gateway_id.into(), store_id.into()))
        .or_insert_with(|| {
            if remember_values {
                Source::Values(HashMap::new())
            } else {
                Source::Ids(HashSet::new())
            }
        })
}

/// One allocation for each sensor, however many readings it has.
fn intern(sensors: &mut HashSet<Arc<str>>, sensor_id: &str) -> Arc<str> {
    if let Some(known) = sensors.get(sensor_id) {
        return known.clone();
    }
    let new: Arc<str> = sensor_id.into();
    sensors.insert(new.clone());
    new
}

#[cfg(test)]
mod tests;
