//! Where clients with passwords wait: two are checked at once, by threads of their own, since each check costs memory
//! and a core. So many megabytes and no more are spent, however many clients come back at the same time.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

use crate::access::password::Scratch;
use crate::access::users::Users;

/// So many passwords are checked at once.
const THREADS: usize = 2;

/// Lets few in at once, in the order in which they came. The threads start with the first who comes, and end with it.
#[derive(Debug, Default)]
pub(super) struct Gate {
    jobs: OnceLock<Sender<Job>>,
}

struct Job {
    users: Arc<Users>,
    name: Box<str>,
    password: Box<[u8]>,
    answer: oneshot::Sender<Option<Arc<str>>>,
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
        let place = self.jobs.get_or_init(start).reserve().await;
        let Ok(place) = place else {
            tracing::error!("passwords cannot be checked: the threads for it are gone");
            return None;
        };
        place.send(Job {
            users,
            name: name.into(),
            password: password.into(),
            answer,
        });
        checked.await.unwrap_or_else(|_| {
            tracing::error!("a password could not be checked: its thread is gone");
            None
        })
    }
}

/// The queue is as short as can be: who has no place in it waits as a future, which can be dropped.
fn start() -> Sender<Job> {
    let (sender, receiver) = channel(THREADS);
    let receiver = Arc::new(Mutex::new(receiver));
    for number in 1..=THREADS {
        let jobs = Arc::clone(&receiver);
        let started = thread::Builder::new()
            .name(format!("password-{number}"))
            .spawn(move || work(&jobs));
        if let Err(error) = started {
            tracing::error!(%error, "a thread that checks passwords cannot be started");
        }
    }
    sender
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    let mut scratch = Scratch::default();
    while let Some(job) = next(jobs, &mut scratch) {
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

/// The next job, with the memory kept if there is one already, and given back if it has to be waited for.
fn next(jobs: &Mutex<Receiver<Job>>, scratch: &mut Scratch) -> Option<Job> {
    if let Ok(mut jobs) = jobs.try_lock()
        && let Ok(job) = jobs.try_recv()
    {
        return Some(job);
    }
    *scratch = Scratch::default();
    let mut jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
    jobs.blocking_recv()
}

/// Without the password.
impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Job").field(&self.name).finish()
    }
}
