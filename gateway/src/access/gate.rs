//! Where clients with passwords wait: few are checked at once, since each costs memory and a core, and off the threads
//! that serve the others.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::access::users::Users;

/// So many passwords are checked at once: argon2id's memory is spent so often.
const AT_ONCE: usize = 2;

/// Lets few in at once, in the order in which they came.
#[derive(Debug)]
pub(super) struct Gate {
    places: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Gate {
    /// The stored hash if the password is right. Whoever gives up waiting leaves the queue; a check that has begun
    /// keeps its place until it is done.
    pub(super) async fn verify(
        &self,
        users: Arc<Users>,
        name: &str,
        password: &[u8],
    ) -> Option<Arc<str>> {
        if let Some(hash) = users.recall(name, password) {
            return Some(hash);
        }
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        // Another client of this user may have been checked meanwhile.
        if let Some(hash) = users.recall(name, password) {
            return Some(hash);
        }
        let (name, password) = (Box::<str>::from(name), Box::<[u8]>::from(password));
        let checked = spawn_blocking(move || {
            let hash = users.verify(&name, &password);
            drop(place);
            hash
        });
        checked.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a password could not be checked");
            None
        })
    }
}
