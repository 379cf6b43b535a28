//! Where clients with passwords wait: two are checked at once, by threads of their own, since each check costs memory
//! and a core. So many megabytes and no more are spent, however many clients come back at the same time.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::access::password::Scratch;
use crate::access::users::Users;

/// So many passwords are checked at once.
const THREADS: usize = 2;

/// A thread without work keeps its memory for so long: given back and taken again at each pause of a storm it would come from
/// ever other places of the heap.
const KEEP_MEMORY: Duration = Duration::from_secs(5);

/// Lets few in at once, in the order in which they came. The threads start with the first who comes, and end with it.
#[derive(Debug, Default)]
pub(super) struct Gate {
    desk: OnceLock<Desk>,
}

/// Where jobs are handed over. The queue is as short as can be: who has no place in it waits as a future, which can be
/// dropped.
#[derive(Debug)]
struct Desk {
    places: Arc<Semaphore>,
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    is_closed: bool,
}

struct Job {
    users: Arc<Users>,
    name: Box<str>,
    password: Box<[u8]>,
    answer: oneshot::Sender<Option<Arc<str>>>,
    _place: OwnedSemaphorePermit,
}

impl Gate {
    /// The stored hash if the password is right. Whoever waits no longer leaves the queue.
    pub(super) async fn verify(
        &self,
        users: Arc<Users>,
        name: &str,
        password: &[u8],
    ) -> Option<Arc<str>> {
        if let Some(hash) = users.recall(name, password) {
            return Some(hash);
        }
        let (answer, checked) = oneshot::channel();
        let desk = self.desk.get_or_init(Desk::open);
        // Nobody closes it.
        let place = Arc::clone(&desk.places).acquire_owned().await.ok()?;
        desk.queue.push(Job {
            users,
            name: name.into(),
            password: password.into(),
            answer,
            _place: place,
        });
        checked.await.unwrap_or_else(|_| {
            tracing::error!("a password could not be checked: its thread is gone");
            None
        })
    }
}

impl Desk {
    fn open() -> Self {
        let queue = Arc::<Queue>::default();
        for number in 1..=THREADS {
            let jobs = Arc::clone(&queue);
            let started = thread::Builder::new()
                .name(format!("password-{number}"))
                .spawn(move || work(&jobs));
            if let Err(error) = started {
                tracing::error!(%error, "a thread that checks passwords cannot be started");
            }
        }
        Self {
            // One more for each thread, so that none waits for the next job.
            places: Arc::new(Semaphore::new(2 * THREADS)),
            queue,
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.queue.lock().is_closed = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn push(&self, job: Job) {
        self.lock().jobs.push_back(job);
        self.changed.notify_one();
    }

    /// The next job; `None` at the end. A thread that has waited for a while gives its memory back.
    fn next(&self, scratch: &mut Scratch) -> Option<Job> {
        let is_idle = |state: &mut State| state.jobs.is_empty() && !state.is_closed;
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), KEEP_MEMORY, is_idle);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            *scratch = Scratch::default();
            let waited = self.changed.wait_while(state, is_idle);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.jobs.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn work(queue: &Queue) {
    let mut scratch = Scratch::default();
    while let Some(job) = queue.next(&mut scratch) {
        if job.answer.is_closed() {
            continue;
        }
        // Another client of this user may have been checked while this one waited.
        let recalled = job.users.recall(&job.name, &job.password);
        let hash = recalled.or_else(|| job.users.verify(&job.name, &job.password, &mut scratch));
        // Whoever left meanwhile does not want to know.
        job.answer.send(hash).ok();
    }
}

/// Without the password.
impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Job").field(&self.name).finish()
    }
}
