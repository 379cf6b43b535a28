//! Waiting for a state instead of sleeping until it may have come.

use std::time::Duration;

use tokio::{sync::Notify, time};

/// Reads a state anew each time `changed` is notified, until `wanted` holds of it.
///
/// `Err` carries the last state when `limit` has passed.
pub(crate) async fn until<State>(
    changed: &Notify,
    limit: Duration,
    read: impl Fn() -> State,
    wanted: impl Fn(&State) -> bool,
) -> Result<State, State> {
    let search = async {
        loop {
            let mut notified = std::pin::pin!(changed.notified());
            // Enlisted before the state is read: a change in between is not missed.
            notified.as_mut().enable();
            let state = read();
            if wanted(&state) {
                return state;
            }
            notified.await;
        }
    };
    time::timeout(limit, search).await.map_err(|_| read())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_last_state_comes_back_when_the_time_is_over() {
        let changed = Notify::new();
        let outcome = until(&changed, Duration::from_secs(9), || 3, |state| *state == 4).await;
        assert_eq!(outcome, Err(3));
    }

    #[tokio::test]
    async fn a_change_ends_the_wait() {
        let (changed, state) = (Notify::new(), AtomicU32::new(0));
        let read = || state.load(Ordering::SeqCst);
        let (outcome, ()) = tokio::join!(
            until(&changed, Duration::from_secs(9), read, |state| *state == 1),
            async {
                state.store(1, Ordering::SeqCst);
                changed.notify_waiters();
            }
        );
        assert_eq!(outcome, Ok(1));
    }
}
