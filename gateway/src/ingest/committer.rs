//! The committer: one thread with the only write connection. It takes what has arrived, evaluates the rules, writes it
//! all in one transaction, and only then completes the receipts. The next group is what arrived meanwhile.
//!
//! If a commit fails, nothing is acknowledged and nothing dropped: the same group is tried again until it succeeds,
//! and meanwhile nothing more is taken from the queue, but for what gives room back on a disk that is full ([`scarcity`]).

mod checkpoints;
mod clock;
mod next;
mod outbox;
mod overflow;
mod rules;
mod salvage;
mod scarcity;
mod space;
mod timing;

use std::{
    collections::HashSet,
    fmt, mem,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::Notify, time};
use tokio_util::sync::CancellationToken;

use self::clock::RulesClock;
use self::next::First;
use self::space::Space;
pub(super) use self::timing::ClockRequest;
use self::timing::Timing;
use super::rule_book::NewRules;
use super::submission::{UpkeepRequest, Work};
use super::{Health, Outlet, Refused, Routed, Source, Submission, SubmissionReceiver, Traces};
use crate::clock as wall_clock;
use crate::domain::{message::Message, reading::ReadingId, status::DeviceStatus};
use crate::metrics::{Limit, Metrics};
use crate::rules::{Engine, RuleSet, STACK_BYTES};
use crate::service::Pulse;
use crate::store::{Committed, Group, NewReject, StoreError, Writer};

/// A group is closed at so many rows: a bound on the time of one commit. Its memory is bounded by the
/// queue's room, and by that of the sessions for which messages are stored.
const MAX_GROUP_ROWS: usize = 8192;

/// Between the first two tries of a commit that failed; it doubles up to the longest, because a try writes too.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_RETRY_PAUSE: Duration = Duration::from_secs(5);

/// What the committer needs beside the store.
pub struct Settings {
    pub gateway_id: Arc<str>,
    /// How long it waits for more readings before a commit.
    pub group_commit: Duration,
    /// Devices whose status is stored.
    pub max_devices: usize,
    /// What the store's files may take.
    pub max_bytes: u64,
    pub outlet: Box<dyn Outlet>,
    /// By the places of the uplinks: woken when something came into their part of the outbox.
    pub outbox_wakes: Vec<Arc<Notify>>,
    pub metrics: Arc<Metrics>,
    pub traces: Arc<Traces>,
    pub health: Arc<Health>,
    /// Shows that no step of the work takes for ever.
    pub pulse: Arc<Pulse>,
    /// Cancelled when a commit that keeps failing is to be given up, at the end of the shutdown grace.
    pub give_up: CancellationToken,
}

/// The committer, ready to run.
pub struct Committer {
    writer: Writer,
    engine: Engine,
    receiver: SubmissionReceiver,
    settings: Settings,
    runtime: Handle,
    rules_clock: RulesClock,
    failed_rules: HashSet<Arc<str>>,
    /// Rules that wait for the commit of what came before them.
    next_rules: Option<NewRules>,
    space: Space,
    /// Since when the log cannot be copied into the database: when that was last tried.
    log_tried: Option<Instant>,
    timing: Timing,
}

/// A group and who waits for it.
#[derive(Default)]
struct Pending {
    group: Group,
    submissions: Vec<Submission>,
    /// Who brought readings, by their first and last.
    arrivals: Vec<(ReadingId, ReadingId, Source)>,
    /// For subscribers, with what is stored of each.
    messages: Vec<(Arc<Message>, Routed)>,
    /// The same of the alerts; they come behind the messages.
    alerts: Vec<(Arc<Message>, Routed)>,
    /// For who asked for changes of the outbox.
    answers: Vec<Box<dyn FnOnce(Committed) + Send>>,
    /// Something came into the outbox of any uplink.
    wakes_uplinks: bool,
}

impl Committer {
    /// Starts the thread. It ends when all senders of the queue are gone and what they sent is committed.
    pub fn spawn(
        writer: Writer,
        rules: RuleSet,
        receiver: SubmissionReceiver,
        settings: Settings,
        runtime: Handle,
    ) -> std::io::Result<thread::JoinHandle<Result<(), StoreError>>> {
        let committer = Self {
            writer,
            engine: Engine::new(Arc::new(rules)),
            rules_clock: RulesClock::starting_at(0),
            receiver,
            settings,
            runtime,
            failed_rules: HashSet::new(),
            next_rules: None,
            space: Space::default(),
            log_tried: None,
            timing: Timing::new(wall_clock::standing()),
        };
        // Before anybody is served: whoever asks sees what there is to count.
        committer.begin_counting();
        thread::Builder::new()
            .name("committer".into())
            .stack_size(STACK_BYTES)
            .spawn(move || committer.run())
    }

    fn run(mut self) -> Result<(), StoreError> {
        let health = Arc::clone(&self.settings.health);
        let _ended = health.end_on_drop();
        let _rests = self.settings.pulse.rest_at_the_end();
        let (memory, left) = (self.writer.rule_memory()?, self.writer.clock_left()?);
        self.rules_clock = RulesClock::starting_at(memory.clock);
        let mut pending = Pending::default();
        self.restore_rules(memory, &mut pending);
        self.start_clock(left, &mut pending);
        if self.commit_all(pending).is_none() {
            return Ok(());
        }
        // Not before: what the rules have ended is open until that is on disk.
        let of_salvage = self.salvage_alerts();
        let open = self.engine.open_alerts().chain(of_salvage);
        self.writer.keep_open_alerts(open);
        let mut is_last = false;
        loop {
            let mut pending = Pending::default();
            self.settings.pulse.rest();
            let first = self.first();
            self.settings.pulse.begin();
            match first {
                First::Upkeep(request) => {
                    pending.keep_up(request);
                    self.fill(&mut pending);
                }
                First::Work(work) => {
                    self.tick(&mut pending);
                    self.take(*work, &mut pending);
                    self.fill(&mut pending);
                }
                // In a commit of their own: what they end is on disk, and nothing in it is of two sets of rules.
                First::Rules(rules) => self.replace_rules(*rules, &mut pending),
                First::Due => self.tick(&mut pending),
                First::Times => self.fill(&mut pending),
                First::Ended => {
                    pending.group = self.writer.last_group(self.rules_clock.now());
                    is_last = true;
                }
            }
            if self.commit_all(pending).is_none() {
                return Ok(());
            }
            if is_last {
                return self.writer.close();
            }
        }
    }

    fn commit_all(&mut self, mut pending: Pending) -> Option<()> {
        self.remember(&mut pending);
        self.write_times(&mut pending);
        let committed = self.commit(&mut pending)?;
        self.times_are_written();
        self.finish(pending, committed);
        Some(())
    }

    fn take(&mut self, work: Work, pending: &mut Pending) {
        match work {
            Work::Submission(mut submission) => {
                self.space.takes(submission.weight());
                if submission.is_indivisible && !self.writer.has_room_for(&submission.readings) {
                    return submission.complete(Err(Refused::TooManySensors));
                }
                let (statuses, most) = (&submission.statuses, self.settings.max_devices);
                let has_room = self.writer.has_room_for_devices(statuses, most);
                if submission.is_indivisible && !has_room {
                    self.settings.metrics.limited(Limit::Devices);
                    return submission.complete(Err(Refused::TooManyDevices));
                }
                if let Some(id) = submission.settled_reject
                    && !self.writer.settle_reject(&mut pending.group, id)
                {
                    return submission.complete(Err(Refused::NoReject));
                }
                let now = self.rules_clock.now();
                let wall = wall_clock::now().millis();
                let first = self.writer.next_reading_id();
                for mut reading in submission.readings.drain(..) {
                    self.timing.bring(&mut reading, wall);
                    self.rule(reading, now, pending);
                }
                let last = ReadingId(self.writer.next_reading_id().0 - 1);
                if let Some(source) = submission.source.take().filter(|_| first <= last) {
                    pending.arrivals.push((first, last, source));
                }
                for (label, reject) in submission.rejects.drain(..) {
                    self.reject(label, reject, &mut pending.group);
                }
                for status in submission.statuses.drain(..) {
                    self.store_status(status, pending);
                }
                for alert in submission.acknowledged.drain(..) {
                    self.acknowledge(alert, pending);
                }
                for change in submission.changes.drain(..) {
                    pending.group.push_session(change);
                }
                for message in submission.messages.drain(..) {
                    let routed = self.route(message, &mut pending.group);
                    pending.messages.push(routed);
                }
                pending.submissions.push(submission);
            }
            Work::Outbox(request) => self.take_outbox(request, pending),
            Work::Rules(rules) => self.next_rules = Some(rules),
            Work::Salvage(request) => self.take_salvage(*request, pending),
            Work::Clock(request) => self.take_clock(request, pending),
        }
    }

    /// Puts what has to be stored of a message into the group.
    fn route(&self, message: Message, group: &mut Group) -> (Arc<Message>, Routed) {
        let message = Arc::new(message);
        let routed = self.settings.outlet.route(&message);
        for change in routed.changes(&message) {
            group.push_session(change);
        }
        (message, routed)
    }

    fn store_status(&mut self, status: DeviceStatus, pending: &mut Pending) {
        let (group, most) = (&mut pending.group, self.settings.max_devices);
        let kept = status.clone();
        match self.writer.add_status(group, status, most) {
            Ok(()) => self.rule_status(&kept, pending),
            Err(status) => {
                self.settings.metrics.limited(Limit::Devices);
                self.reject("devices", overflow::too_many_devices(status), group);
            }
        }
    }

    fn reject(&mut self, label: &str, reject: NewReject, group: &mut Group) {
        self.settings
            .metrics
            .readings_rejected
            .with_label_values(&[label])
            .inc();
        self.writer.add_reject(group, reject);
    }

    fn count_lost(&self, reason: &str) {
        self.settings
            .metrics
            .readings_lost
            .with_label_values(&[reason])
            .inc();
    }

    /// Commits, however often it takes; `None` if it was given up.
    fn commit(&mut self, pending: &mut Pending) -> Option<Committed> {
        let (mut has_failed, mut is_suspected) = (false, false);
        let mut pause = RETRY_PAUSE;
        loop {
            let started = Instant::now();
            // Each try is a step of its own: that there is no room is no fault of the process.
            self.settings.pulse.begin();
            let error = match self.writer.commit(&pending.group) {
                Ok(committed) => {
                    let metrics = &self.settings.metrics;
                    metrics
                        .commit_seconds
                        .observe(started.elapsed().as_secs_f64());
                    metrics
                        .commit_readings
                        .observe(pending.group.reading_count() as f64);
                    if has_failed {
                        tracing::info!("commits succeed again");
                        self.settings.health.set(None);
                    }
                    self.tell_of_the_log();
                    return Some(committed);
                }
                Err(error) => error,
            };
            self.settings.metrics.commit_failures.inc();
            let told = self.writer.explain(&error);
            // A disk that gave nothing for a moment shows the same as damage, which is believed when it shows again.
            let damage = if has_failed {
                self.writer.damage_at_second_try(&error)
            } else {
                self.writer.damage_of(&error)
            };
            if self.writer.believes(damage, &mut is_suspected) {
                // Nothing of it is acknowledged; a new store begins.
                self.settings.health.set(Some(told));
                return None;
            }
            if !has_failed {
                tracing::error!(error = %told, "commit failed: nothing is acknowledged until it succeeds");
                has_failed = true;
            }
            self.settings.health.set(Some(told));
            if is_suspected {
                continue;
            }
            if self.settings.give_up.is_cancelled() {
                tracing::error!("the last commit was given up; none of it was acknowledged");
                return None;
            }
            let is_out_of_room = self.writer.is_out_of_room(&error);
            if !is_out_of_room || self.wait_for_room(pending, pause).is_err() {
                self.pause(pause);
            }
            if self.writer.is_damaged() {
                return None;
            }
            pause = (pause * 2).min(LONGEST_RETRY_PAUSE);
        }
    }

    /// Waits, at most until the shutdown grace ends.
    fn pause(&self, time: Duration) {
        let give_up = self.settings.give_up.cancelled();
        // The timer needs the runtime's context when it is made.
        let wait = async { time::timeout(time, give_up).await };
        // Both ends are as good: the caller looks which it was.
        self.runtime.block_on(wait).ok();
    }

    /// Tells everybody that the group is on disk. Who has an acknowledgement finds the message where it belongs.
    fn finish(&mut self, mut pending: Pending, committed: Committed) {
        let metrics = &self.settings.metrics;
        for alert in pending.group.alerts() {
            let labels = [&*alert.rule, alert.state.as_str()];
            metrics.alerts.with_label_values(&labels).inc();
        }
        for (message, routed) in pending.messages.into_iter().chain(pending.alerts) {
            self.settings.outlet.publish(message, routed);
        }
        if !pending.arrivals.is_empty() {
            let arrivals = mem::take(&mut pending.arrivals);
            self.settings.traces.arrived(arrivals, wall_clock::now());
        }
        for submission in &mut pending.submissions {
            submission.complete(Ok(committed));
        }
        for answer in pending.answers {
            answer(committed);
        }
        let stored = pending.group.reading_count() as u64;
        metrics.readings_committed.inc_by(stored);
        let forwarded = pending.group.forwarded();
        for (place, wake) in self.settings.outbox_wakes.iter().enumerate() {
            let has_salvaged = pending.group.has_salvaged_outbox();
            if pending.wakes_uplinks || has_salvaged || forwarded.contains(place) {
                wake.notify_one();
            }
        }
    }
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committer")
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}
