//! What is remembered of the way of the newest readings, beside what is stored of them: who brought them, when they were
//! committed, and what receivers said. Bounded, in memory, and gone with the process.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::domain::reading::ReadingId;
use crate::domain::timestamp::Timestamp;
use crate::store::outbox::UplinkKey;

/// Submissions that are remembered: at one reading each those of a quarter of an hour at ten a second.
const MAX_ARRIVALS: usize = 10_000;
/// Answers of receivers that are remembered, and readings in all their batches: 1.6 MB.
const MAX_VERDICTS: usize = 2_000;
const MAX_SENT: usize = 200_000;

/// Who brought readings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// `mqtt` or `http`.
    pub transport: &'static str,
    /// The client id, or the name of the token; null for who has none.
    pub client: Option<Arc<str>>,
    pub address: IpAddr,
}

/// How readings came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The ids that their submission was given.
    first: ReadingId,
    last: ReadingId,
    pub source: Source,
    pub committed_at: Timestamp,
}

/// What a receiver said of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    pub uplink: UplinkKey,
    pub batch: i64,
    pub verdict: &'static str,
    pub at: Timestamp,
    /// Ascending.
    readings: Arc<[ReadingId]>,
}

/// What is remembered.
#[derive(Debug, Default)]
pub struct Traces {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    arrivals: VecDeque<Arrival>,
    verdicts: VecDeque<Judged>,
    sent: usize,
}

impl Traces {
    /// The readings of some submissions are on disk; each is named by its first and last.
    pub(super) fn arrived(
        &self,
        arrivals: impl IntoIterator<Item = (ReadingId, ReadingId, Source)>,
        committed_at: Timestamp,
    ) {
        let mut inner = self.lock();
        for (first, last, source) in arrivals {
            if MAX_ARRIVALS <= inner.arrivals.len() {
                inner.arrivals.pop_front();
            }
            inner.arrivals.push_back(Arrival {
                first,
                last,
                source,
                committed_at,
            });
        }
    }

    /// A receiver has said something of a batch with these readings.
    pub fn judged(
        &self,
        uplink: UplinkKey,
        batch: i64,
        readings: &[ReadingId],
        verdict: &'static str,
        at: Timestamp,
    ) {
        let mut inner = self.lock();
        // One that is sent again and again is told once.
        let same = inner
            .verdicts
            .iter()
            .rposition(|known| known.batch == batch);
        let readings = match same.and_then(|at| inner.verdicts.remove(at)) {
            Some(known) => known.readings,
            None => {
                inner.sent += readings.len();
                readings.into()
            }
        };
        inner.verdicts.push_back(Judged {
            uplink,
            batch,
            verdict,
            at,
            readings,
        });
        while MAX_VERDICTS < inner.verdicts.len() || MAX_SENT < inner.sent {
            let Some(oldest) = inner.verdicts.pop_front() else {
                break;
            };
            inner.sent -= oldest.readings.len();
        }
    }

    /// How a reading came, if that is remembered.
    pub fn arrival(&self, id: ReadingId) -> Option<Arrival> {
        let inner = self.lock();
        let after = inner
            .arrivals
            .partition_point(|arrival| arrival.first <= id);
        let arrival = inner.arrivals.get(after.checked_sub(1)?)?;
        (id <= arrival.last).then(|| arrival.clone())
    }

    /// What was last said of batches with a reading, the newest first.
    pub fn verdicts(&self, id: ReadingId) -> Vec<Judged> {
        let inner = self.lock();
        let verdicts = inner.verdicts.iter().rev();
        let of_it = verdicts.filter(|judged| judged.readings.binary_search(&id).is_ok());
        of_it.cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(client: &str) -> Source {
        Source {
            transport: "mqtt",
            client: Some(client.into()),
            address: IpAddr::from([192, 0, 2, 7]),
        }
    }

    #[test]
    fn a_reading_is_found_in_its_submission_and_the_oldest_are_forgotten() {
        let traces = Traces::default();
        let at = Timestamp::from_millis;
        let of = |id: i64| {
            let arrival = traces.arrival(ReadingId(id))?;
            Some((arrival.source.client?.to_string(), arrival.committed_at))
        };
        let arrive = |first, last, client: &str, time| {
            traces.arrived(
                [(ReadingId(first), ReadingId(last), source(client))],
                at(time),
            );
        };
        assert_eq!(of(1), None);
        arrive(1, 3, "a", 10);
        arrive(6, 6, "b", 20);
        let expected = [None, Some("a"), Some("a"), None, None, Some("b"), None];
        for (id, expected) in [0, 1, 3, 4, 5, 6, 7].into_iter().zip(expected) {
            assert_eq!(
                of(id).map(|(client, _)| client).as_deref(),
                expected,
                "{id}"
            );
        }
        assert_eq!(of(3).unwrap().1, at(10));
        for n in 0..MAX_ARRIVALS as i64 - 1 {
            arrive(10 + n, 10 + n, "c", 30);
        }
        assert_eq!(of(3), None);
        assert!(of(6).is_some());
    }

    #[test]
    fn of_each_batch_the_last_word_is_remembered() {
        let traces = Traces::default();
        let cloud = UplinkKey::of_test(1);
        let judge = |batch, ids: &[i64], verdict| {
            let readings: Vec<ReadingId> = ids.iter().map(|id| ReadingId(*id)).collect();
            let at = Timestamp::from_millis(batch);
            traces.judged(cloud, batch, &readings, verdict, at);
        };
        let of = |id| -> Vec<(i64, &str)> {
            let found = traces.verdicts(ReadingId(id));
            found
                .iter()
                .map(|judged| (judged.batch, judged.verdict))
                .collect()
        };
        judge(1, &[1, 4, 9], "retry");
        judge(2, &[4], "retry");
        judge(1, &[1, 4, 9], "delivered");
        assert_eq!(of(4), [(1, "delivered"), (2, "retry")]);
        assert_eq!(of(9), [(1, "delivered")]);
        assert_eq!(of(2), []);
        let many: Vec<i64> = (100..100 + MAX_SENT as i64).collect();
        judge(3, &many, "delivered");
        assert_eq!(of(4), []);
        assert_eq!(of(100), [(3, "delivered")]);
    }
}
