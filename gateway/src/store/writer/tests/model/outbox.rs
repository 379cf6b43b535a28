//! What uplinks do: readings are claimed, recorded as a batch, confirmed, refused, sent again.

use super::*;
use crate::store::outbox::{Change, Refusal, Settled};

impl Pair {
    /// Reads what an uplink would send next.
    pub(super) fn claim(&mut self) {
        let place = self.rng.usize(..2);
        if self.is_away[place] || !self.claims[place].is_empty() {
            return;
        }
        let query = WaitingQuery {
            uplink: Self::key(place),
            after: ReadingId(0),
            upto: ReadingId(i64::MAX),
            tagged_only: self.rng.u32(..4) == 0,
            limit: self.rng.usize(1..2000),
            max_bytes: usize::MAX,
        };
        let found = self.reader().waiting(&query).unwrap();
        self.claims[place] = found.into_iter().map(|reading| reading.id).collect();
    }

    pub(super) fn record(&mut self) {
        let place = self.rng.usize(..2);
        let readings = std::mem::take(&mut self.claims[place]);
        if readings.is_empty() {
            return;
        }
        let batch = Batch {
            id: self.writer().next_batch_id(),
            uplink: Self::key(place),
            gateway_id: "edge-1".into(),
            format: "batch".into(),
            compression: ["none", "gzip"][self.rng.usize(..2)].into(),
            tries: 0,
            readings,
        };
        self.group.push_outbox(Change::Record(batch.clone()));
        self.effects.push(Box::new(move |model| {
            let waiting = &mut model.waiting[place];
            let there = batch.readings.iter().copied();
            // What the upkeep took meanwhile is in no batch.
            let there = there.filter(|id| waiting.remove(&id.0)).collect();
            let batch = Batch {
                readings: there,
                ..batch
            };
            model.batches.insert(batch.id, batch);
        }));
    }

    fn some_batch(&mut self) -> Option<Batch> {
        let all: Vec<&Batch> = self.model.batches.values().collect();
        let batch = self.rng.choice(all)?.clone();
        (!self.is_away[batch.uplink.0 as usize - 1]).then_some(batch)
    }

    /// All of a batch is confirmed, or some of it refused.
    pub(super) fn settle(&mut self) {
        let Some(batch) = self.some_batch() else {
            return;
        };
        let refuses = self.rng.u32(..8) == 0;
        let refused = batch.readings.iter().copied();
        let refused: Vec<ReadingId> = refused
            .filter(|_| refuses && self.rng.u32(..20) == 0)
            .collect();
        let settled = Settled {
            batch: batch.clone(),
            refused: refused.clone(),
            refusal: Refusal {
                status: 422,
                answer: "no".into(),
                at: Timestamp::from_millis(7),
            },
        };
        let account = Account {
            refused: self.rng.u32(..9),
            day: 20_000,
            bytes: self.rng.u64(..1 << 40),
        };
        let place = batch.uplink.0 as usize - 1;
        self.group.push_outbox(Change::Settle(settled));
        let change = Change::Account(batch.uplink, account);
        self.group.push_outbox(change);
        self.effects.push(Box::new(move |model| {
            model.accounts[place] = account;
            // Who asks twice buries twice: the uplink sees to it that it does not.
            if model.batches.remove(&batch.id).is_none() {
                return;
            }
            for id in refused {
                model.last_letter += 1;
                let letter = (place, id.0, batch.tries + 1);
                model.letters.insert(model.last_letter, letter);
            }
        }));
        // No other change of this batch in this group.
        self.commit();
    }

    pub(super) fn split(&mut self) {
        let Some(batch) = self.some_batch().filter(|batch| 1 < batch.readings.len()) else {
            return;
        };
        let at = self.rng.usize(1..batch.readings.len());
        let (first, second) = batch.readings.split_at(at);
        let parts = [first, second].map(|readings| Batch {
            id: self.writer().next_batch_id(),
            tries: batch.tries + 1,
            readings: readings.to_vec(),
            ..batch.clone()
        });
        let change = Change::Replace(batch.id, parts.to_vec());
        self.group.push_outbox(change);
        self.effects.push(Box::new(move |model| {
            model.batches.remove(&batch.id);
            model.batches.extend(parts.map(|part| (part.id, part)));
        }));
        self.commit();
    }

    /// A dead letter is sent again or given up.
    pub(super) fn take_letter(&mut self) {
        let all: Vec<i64> = self.model.letters.keys().copied().collect();
        let Some(id) = self.rng.choice(all) else {
            return;
        };
        let retries = self.rng.bool();
        self.group.push_outbox(if retries {
            Change::Retry(id)
        } else {
            Change::Drop(id)
        });
        self.effects.push(Box::new(move |model| {
            let letter = model.letters.remove(&id);
            if let Some((place, reading, _)) = letter.filter(|_| retries) {
                model.waiting[place].insert(reading);
            }
        }));
        self.commit();
    }
}
