//! What crosses to the committer: all that one socket read or one request brought, with one receipt.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::committer::ClockRequest;
use super::rule_book::NewRules;
use super::{OutboxRequest, SalvageRequest, Source};
use crate::clock::Standing;
use crate::domain::{message::Message, reading::Reading, status::DeviceStatus};
use crate::metrics::Metrics;
use crate::store::{Committed, NewReject, Step, sessions::Change};

/// Submissions that may wait for the committer. While so many do, sockets are not read.
const CAPACITY: usize = 1024;

/// Memory, in KiB, that submissions may take from when they are handed over until they are on disk. One that is larger
/// goes alone.
const ROOM_KIB: u32 = 16 << 10;

/// Readings, statuses and rejects on their way to one commit, and the messages that go to subscribers after it.
#[derive(Debug, Default)]
pub struct Submission {
    pub readings: Vec<Reading>,
    /// Who brought the readings, if anybody is to know.
    pub source: Option<Source>,
    pub statuses: Vec<DeviceStatus>,
    /// Ids of alerts that somebody has seen.
    pub acknowledged: Vec<i64>,
    /// Each with the label of its reason.
    pub rejects: Vec<(&'static str, NewReject)>,
    /// The reject that this settles; if it is gone, nothing of the submission is taken.
    pub settled_reject: Option<i64>,
    pub messages: Vec<Message>,
    /// Of what the broker owes; written in their order.
    pub changes: Vec<Change>,
    /// All of it or nothing: what cannot be stored refuses the whole, and nothing goes to the rejects.
    pub is_indivisible: bool,
    receipt: Option<oneshot::Sender<Result<Committed, Refused>>>,
    /// Held until it is dropped, which is after its commit.
    room: Option<OwnedSemaphorePermit>,
}

/// Why a submission was not committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the gateway is stopping")]
    Stopped,
    #[error("there are more sensors than the gateway can hold")]
    TooManySensors,
    #[error("there are more devices than the gateway can hold")]
    TooManyDevices,
    #[error("the store is full")]
    Full,
    #[error("the reject is gone")]
    NoReject,
}

impl Submission {
    /// Changes of what the broker owes, and nothing else.
    pub fn of_changes(changes: Vec<Change>) -> Self {
        Self {
            changes,
            ..Self::default()
        }
    }

    /// What settles a reject, and nothing else yet.
    pub fn of_reject(id: i64) -> Self {
        Self {
            settled_reject: Some(id),
            ..Self::default()
        }
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.readings.is_empty()
            && self.statuses.is_empty()
            && self.acknowledged.is_empty()
            && self.rejects.is_empty()
            && self.settled_reject.is_none()
            && self.messages.is_empty()
            && self.changes.is_empty()
    }

    /// Asks for the proof that it is on disk.
    pub fn receipt(&mut self) -> Receipt {
        let (sender, receiver) = oneshot::channel();
        self.receipt = Some(sender);
        Receipt(receiver)
    }

    /// About how much memory it takes, in KiB.
    pub fn weight(&self) -> u32 {
        let readings = self.readings.iter().map(|reading| {
            size_of::<Reading>()
                + reading.sensor_id.as_str().len()
                + reading.attributes.as_json().len()
        });
        let rejects = self
            .rejects
            .iter()
            .map(|(_, reject)| size_of::<NewReject>() + reject.payload.len() + reject.reason.len());
        let messages = self.messages.iter().map(Message::size);
        let plain = self.statuses.len() * size_of::<DeviceStatus>()
            + self.changes.iter().map(Change::size).sum::<usize>();
        let bytes = readings.chain(rejects).chain(messages).sum::<usize>() + plain;
        u32::try_from(bytes.div_ceil(1024)).map_or(ROOM_KIB, |kib| kib.clamp(1, ROOM_KIB))
    }

    /// Whether somebody waits for its commit.
    pub(super) fn is_waited_for(&self) -> bool {
        self.receipt.is_some()
    }

    pub(super) fn complete(&mut self, outcome: Result<Committed, Refused>) {
        if let Some(receipt) = self.receipt.take() {
            // The session may be gone: then nobody waits for the answer.
            receipt.send(outcome).ok();
        }
    }
}

/// A promise of [`Committed`].
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<Committed, Refused>>);

impl Receipt {
    /// Waits for the commit. Cancel safe.
    pub async fn committed(&mut self) -> Result<Committed, Refused> {
        (&mut self.0).await.unwrap_or(Err(Refused::Stopped))
    }
}

#[derive(Debug)]
pub(super) enum Work {
    Submission(Submission),
    Outbox(OutboxRequest),
    Rules(NewRules),
    Salvage(Box<SalvageRequest>),
    Clock(ClockRequest),
}

/// A step of the upkeep, and who waits for its commit.
#[derive(Debug)]
pub(super) struct UpkeepRequest {
    pub(super) step: Step,
    pub(super) done: oneshot::Sender<Committed>,
}

/// The committer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the gateway is stopping")]
pub struct Stopped;

/// The way to the committer. Bounded; policy: whoever holds something that will be acknowledged waits, a submission
/// of QoS 0 only is refused and its sender counts it.
#[derive(Clone, Debug)]
pub struct SubmissionQueue {
    sender: mpsc::Sender<Work>,
    room: Arc<Semaphore>,
    /// Past the others: what makes room must not wait for those who need it.
    upkeep: mpsc::Sender<UpkeepRequest>,
}

/// The committer's end of the queue.
#[derive(Debug)]
pub struct SubmissionReceiver {
    pub(super) receiver: mpsc::Receiver<Work>,
    pub(super) upkeep: mpsc::Receiver<UpkeepRequest>,
}

impl SubmissionQueue {
    /// A queue and its end.
    pub fn new() -> (Self, SubmissionReceiver) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        let room = Arc::new(Semaphore::new(ROOM_KIB as usize));
        let (steps, upkeep) = mpsc::channel(1);
        let queue = Self {
            sender,
            room,
            upkeep: steps,
        };
        (queue, SubmissionReceiver { receiver, upkeep })
    }

    /// Waits for room for a submission of this [`Submission::weight`]. Cancel safe: a submission is handed over whole
    /// or not at all.
    pub async fn reserve(&self, weight: u32) -> Result<Place, Stopped> {
        let room = Arc::clone(&self.room).acquire_many_owned(weight).await;
        let permit = self.sender.clone().reserve_owned().await;
        match (permit, room) {
            (Ok(permit), Ok(room)) => Ok(Place { permit, room }),
            _ => Err(Stopped),
        }
    }

    /// Hands over, waiting for room.
    pub async fn submit(&self, submission: Submission) -> Result<(), Stopped> {
        self.reserve(submission.weight()).await?.submit(submission);
        Ok(())
    }

    /// Hands over only if there is room now; gives it back if not.
    pub fn try_submit(&self, submission: Submission) -> Result<(), Box<Submission>> {
        let room = Arc::clone(&self.room).try_acquire_many_owned(submission.weight());
        let (Ok(room), Ok(permit)) = (room, self.sender.clone().try_reserve_owned()) else {
            return Err(Box::new(submission));
        };
        Place { permit, room }.submit(submission);
        Ok(())
    }

    /// Asks for a change of the outbox, waiting for room.
    pub async fn request(&self, request: OutboxRequest) -> Result<(), Stopped> {
        self.place_for_request().await?.submit(request);
        Ok(())
    }

    /// Hands over other rules, waiting for room.
    pub(super) async fn replace_rules(&self, rules: NewRules) -> Result<(), Stopped> {
        let permit = self.sender.reserve().await.map_err(|_| Stopped)?;
        permit.send(Work::Rules(rules));
        Ok(())
    }

    /// Hands over rows of a damaged store, waiting for room.
    pub(super) async fn send_salvage(&self, request: SalvageRequest) -> Result<(), Stopped> {
        let permit = self.sender.reserve().await.map_err(|_| Stopped)?;
        permit.send(Work::Salvage(Box::new(request)));
        Ok(())
    }

    /// Says how the clock stands from now on, and waits until that is on disk.
    pub(super) async fn set_clock(&self, standing: Standing) -> Result<Committed, Stopped> {
        let (done, committed) = oneshot::channel();
        let permit = self.sender.reserve().await.map_err(|_| Stopped)?;
        permit.send(Work::Clock(ClockRequest { standing, done }));
        committed.await.map_err(|_| Stopped)
    }

    /// Waits for room for such a request. Cancel safe.
    pub async fn place_for_request(&self) -> Result<RequestPlace, Stopped> {
        let permit = self.sender.clone().reserve_owned().await;
        Ok(RequestPlace(permit.map_err(|_| Stopped)?))
    }

    /// Has a step of the upkeep written, and waits until it is on disk.
    pub(super) async fn keep_up(&self, step: Step) -> Result<Committed, Stopped> {
        let (done, committed) = oneshot::channel();
        let request = UpkeepRequest { step, done };
        self.upkeep.send(request).await.map_err(|_| Stopped)?;
        committed.await.map_err(|_| Stopped)
    }

    /// Shows how many submissions wait.
    pub fn observe(&self, metrics: &Arc<Metrics>) {
        let waiting = self.sender.max_capacity() - self.sender.capacity();
        metrics
            .queue_depth
            .with_label_values(&["submissions"])
            .set(waiting as i64);
    }
}

/// Room for one request.
#[derive(Debug)]
pub struct RequestPlace(mpsc::OwnedPermit<Work>);

impl RequestPlace {
    /// Hands over.
    pub fn submit(self, request: OutboxRequest) {
        self.0.send(Work::Outbox(request));
    }
}

/// Room for one submission.
#[derive(Debug)]
pub struct Place {
    permit: mpsc::OwnedPermit<Work>,
    room: OwnedSemaphorePermit,
}

impl Place {
    /// Hands over.
    pub fn submit(self, mut submission: Submission) {
        submission.room = Some(self.room);
        self.permit.send(Work::Submission(submission));
    }
}
