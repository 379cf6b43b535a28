//! The loop of one uplink: outbox → batches → receiver → verdicts → outbox. It waits for the first of what can happen, acts,
//! and fills the places that are free.

mod landing;
mod request;
mod surroundings;

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

pub use self::surroundings::Surroundings;
use super::backoff::Backoff;
use super::budget::{self, Allowance};
use super::claim::{Claim, Claimer};
use super::flights::{Departure, Flights};
use super::kept::Kept;
use super::lanes::Lane;
use super::limit::BodyLimit;
use super::mqtt::Keeper;
use super::progress::Progress;
use super::settle::Settler;
use super::trouble::Trouble;
use super::uplink::{Sent, Uplink};
use crate::clock;
use crate::config;
use crate::ingest::{SubmissionQueue, Traces};
use crate::metrics::Metrics;
use crate::store::outbox::{Batch, UplinkKey};
use crate::store::{Reader, StoreError};

/// Batches that were recorded before a restart are read so many at a time.
const RECORDED_AT_ONCE: usize = 100;
/// A stop waits so long for the answers to what is on its way,
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// so long for the last confirmation,
const LAST_CONFIRMATION: Duration = Duration::from_secs(1);
/// and so long for the end of the connection.
const LAST_WORD: Duration = Duration::from_millis(200);
/// While readings gather the outbox is looked at no more often than this.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// After an error of the store.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);

/// Brings its part of the outbox to one receiver.
#[derive(Debug)]
pub struct Pump {
    config: Arc<config::Uplink>,
    key: UplinkKey,
    uplink: Arc<Uplink>,
    keeper: Option<Keeper>,
    reader: Reader,
    submissions: SubmissionQueue,
    wake: Arc<Notify>,
    metrics: Arc<Metrics>,
    traces: Arc<Traces>,
    encoders: Arc<Semaphore>,
    progress: Progress,
    flights: Flights,
    kept: Kept,
    settler: Settler,
    claimer: Option<Claimer>,
    body_limit: BodyLimit,
    /// When the outbox is to be looked at again; `None`: when something comes into it.
    look_at: Option<Instant>,
    looked_at: Instant,
    has_woken: bool,
    /// The last look found nothing that is to go at once.
    is_all_claimed: bool,
}

/// A claim under way; the claimer comes back with what came of it.
type Claiming = Pin<Box<dyn Future<Output = (Claimer, Result<Claim, Trouble>)> + Send>>;

/// A request that was made.
struct Landing {
    departure: Departure,
    outcome: Result<Made, Trouble>,
}

/// What came of it.
struct Made {
    sent: Sent,
    /// Of its body, before compression.
    plain_bytes: usize,
}

impl Pump {
    /// Puts the pump together. `wake` is told when something came into its part of the outbox.
    pub fn new(
        config: config::Uplink,
        key: UplinkKey,
        mut uplink: Uplink,
        wake: Arc<Notify>,
        surroundings: Surroundings,
    ) -> Self {
        let config = Arc::new(config);
        let Surroundings {
            gateway_id,
            reader,
            submissions,
            metrics,
            traces,
            clock_wait,
            encoders,
        } = surroundings;
        let progress = Progress::new(Arc::clone(&config.name), config.stalled_after);
        let claimer = Claimer::new(
            Arc::clone(&config),
            key,
            gateway_id,
            reader.clone(),
            submissions.clone(),
            clock_wait,
        );
        Self {
            flights: Flights::new(Backoff::new(config.retry_initial, config.retry_max)),
            kept: Kept::default(),
            settler: Settler::new(key, submissions.clone(), Arc::clone(&metrics)),
            body_limit: BodyLimit::new(config.batch_max_bytes),
            config,
            key,
            keeper: uplink.take_keeper(),
            uplink: Arc::new(uplink),
            reader,
            submissions,
            wake,
            metrics,
            traces,
            encoders,
            progress,
            claimer: Some(claimer),
            look_at: Some(Instant::now()),
            looked_at: Instant::now(),
            has_woken: false,
            is_all_claimed: false,
        }
    }

    /// A view of what it does.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Runs until `stop`. Requests on their way then have a little time; those without an answer are made again, under the
    /// same key, after the next start.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut connection = JoinSet::new();
        if let Some(keeper) = self.keeper.take() {
            let (submissions, progress) = (self.submissions.clone(), self.progress.clone());
            connection.spawn(keeper.keep(submissions, progress));
        }
        let mut running = pin!(self.run_until(stop));
        tokio::select! {
            () = &mut running => {}
            Some(ended) = connection.join_next() => {
                if let Some(panic) = ended.err().and_then(|error| error.try_into_panic().ok()) {
                    resume_unwind(panic);
                }
                // The committer is gone, which ends the pump as well.
                running.await;
            }
        }
        timeout(LAST_WORD, connection.join_all()).await.ok();
    }

    async fn run_until(mut self, stop: CancellationToken) {
        let mut requests = JoinSet::new();
        let pump = self.pump(&mut requests);
        if stop.run_until_cancelled(pump).await.is_none() {
            let landed = timeout(LAST_ANSWERS, self.land_all(&mut requests)).await;
            if landed.is_err() {
                tracing::info!(uplink = %self.config.name, "stops without all answers");
            }
            timeout(LAST_CONFIRMATION, self.settler.finish()).await.ok();
        }
    }

    async fn land_all(&mut self, requests: &mut JoinSet<Landing>) {
        while let Some(landed) = requests.join_next().await {
            let landed = match landed {
                Ok(landing) => self.land(landing).await,
                Err(error) => Err(error.into()),
            };
            if landed.is_err_and(|trouble| self.is_over(&trouble)) {
                return;
            }
        }
    }

    /// Goes on for as long as the committer does.
    async fn pump(&mut self, requests: &mut JoinSet<Landing>) {
        while let Err(trouble) = self.take_up().await {
            if self.is_over(&trouble) {
                return;
            }
            sleep_until(Instant::now() + TROUBLE_PAUSE).await;
        }
        let mut claiming: Option<Claiming> = None;
        loop {
            let now = Instant::now();
            self.fill(now, requests, &mut claiming);
            let next = self.flights.next_time(now);
            let look_at = self.look_at.filter(|at| claiming.is_none() && now < *at);
            let settle_by = self.settler.due();
            let acted = tokio::select! {
                Some(landed) = requests.join_next() => match landed {
                    Ok(landing) => self.land(landing).await,
                    Err(error) => Err(error.into()),
                },
                (claimer, claimed) = wait_for(&mut claiming) => {
                    claiming = None;
                    self.claimer = Some(claimer);
                    claimed.map(|claim| self.claimed(claim))
                }
                committed = self.settler.committed() => committed,
                () = self.wake.notified() => {
                    self.has_woken = true;
                    Ok(())
                }
                () = until(look_at), if look_at.is_some() => Ok(()),
                () = until(next), if next.is_some() => Ok(()),
                () = until(settle_by), if settle_by.is_some() => Ok(()),
            };
            let Err(trouble) = acted else {
                continue;
            };
            if self.is_over(&trouble) {
                return;
            }
            self.is_all_claimed = false;
            self.look_at = Some(Instant::now() + TROUBLE_PAUSE);
        }
    }

    fn is_over(&self, trouble: &Trouble) -> bool {
        if matches!(trouble, Trouble::Stopped) {
            return true;
        }
        tracing::error!(uplink = %self.config.name, error = %trouble, "forwarding pauses");
        self.progress.troubled(trouble.to_string());
        false
    }

    /// Reads what was left: the batches that were recorded, and what the uplink remembers of itself.
    async fn take_up(&mut self) -> Result<(), Trouble> {
        let (reader, key) = (self.reader.clone(), self.key);
        let read = move || -> Result<_, StoreError> {
            let mut batches: Vec<Batch> = Vec::new();
            loop {
                let after = batches.last().map_or(0, |batch| batch.id);
                let more = reader.recorded_batches(key, after, RECORDED_AT_ONCE)?;
                if more.is_empty() {
                    return Ok((batches, reader.account(key)?));
                }
                batches.extend(more);
            }
        };
        let (batches, account) = spawn_blocking(read).await??;
        self.settler.account = account;
        let now = Instant::now();
        for batch in batches {
            // Which of them have tagged readings is not looked up: they are few.
            self.flights.add(batch, Lane::Backlog, true, now);
        }
        Ok(())
    }

    /// Has requests made while places are free, and batches claimed while few wait for one.
    fn fill(
        &mut self,
        now: Instant,
        requests: &mut JoinSet<Landing>,
        claiming: &mut Option<Claiming>,
    ) {
        let wall = clock::now();
        let allowance = budget::allowance(self.config.daily_budget, &self.settler.account, wall);
        self.progress.spends(&self.settler.account, allowance);
        if allowance == Allowance::Nothing {
            self.look_at = Some(now + budget::wait(wall));
            self.settler.settle_if_due(true);
            return;
        }
        let is_tagged_only = allowance == Allowance::TaggedOnly;
        let at_once = self.config.at_once();
        while let Some(departure) = self.flights.depart(at_once, is_tagged_only, now) {
            let readings = self.kept.take(departure.batch.id);
            requests.spawn(self.request(departure, readings));
        }
        self.progress.waits_until(self.flights.next_time(now));
        if self.is_all_claimed && self.flights.readings() == 0 {
            self.progress.has_nothing_to_do();
        }
        self.settler.settle_if_due(self.flights.sending() == 0);
        if claiming.is_none() && std::mem::take(&mut self.has_woken) {
            self.look_soon(now);
        }
        let is_due = self.look_at.is_some_and(|at| at <= now);
        if is_due
            && self.flights.wants_more(at_once, is_tagged_only, now)
            && let Some(mut claimer) = self.claimer.take()
        {
            self.looked_at = now;
            let mut max_bytes = self.body_limit.bytes();
            if !is_tagged_only {
                let left = budget::room(self.config.daily_budget, &self.settler.account, wall);
                max_bytes = max_bytes.min(left);
            }
            *claiming = Some(Box::pin(async move {
                let claimed = claimer.claim(allowance, max_bytes).await;
                (claimer, claimed)
            }));
        }
    }

    fn claimed(&mut self, claim: Claim) {
        let now = Instant::now();
        self.look_at = match claim {
            Claim::Recorded(batches, lane) => {
                self.is_all_claimed = false;
                self.progress.has_something_to_do();
                for recorded in batches {
                    if let Some(readings) = recorded.readings {
                        self.kept.keep(recorded.batch.id, readings);
                    }
                    self.flights
                        .add(recorded.batch, lane, recorded.has_tagged, now);
                }
                Some(now)
            }
            Claim::Lingers(until) => {
                self.is_all_claimed = true;
                Some(until)
            }
            Claim::Empty => {
                self.is_all_claimed = true;
                // A tagged reading may have to wait for the next hour, an untagged one for the next minute.
                let is_paced = self.config.daily_budget.is_some();
                is_paced.then(|| now + budget::wait(clock::now()))
            }
        };
    }

    /// Something came into the outbox: it is looked at when a batch may be full, and not at each reading.
    fn look_soon(&mut self, now: Instant) {
        let pending = self.reader.outbox_pending(Some(self.key)) as usize;
        let recorded = self.flights.readings() + self.settler.readings();
        let is_full = self.config.batch_max_readings <= pending.saturating_sub(recorded);
        let at = if is_full {
            now
        } else {
            self.looked_at + LOOK_AGAIN
        };
        self.look_at = Some(self.look_at.map_or(at, |before| before.min(at)));
    }
}

/// For ever, if there is nothing to wait for.
async fn wait_for(claiming: &mut Option<Claiming>) -> (Claimer, Result<Claim, Trouble>) {
    match claiming {
        Some(claiming) => claiming.await,
        None => std::future::pending().await,
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
