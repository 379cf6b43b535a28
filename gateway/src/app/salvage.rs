//! Care for the store behind the others: rows of damaged stores are taken over, and after an unclean end the whole is read once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::ingest::{Health, Submission, SubmissionQueue};
use crate::metrics::Metrics;
use crate::store::{Damage, Progress, Reader, Salvage, StoreError};

/// Of its time the reading of the whole store takes this part, so that it is not felt.
const SHARE: u32 = 5;

/// Between two looks at whether the files are where they were.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Between two tries while there is no room on the disk.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(30);

/// What it works with.
pub(super) struct Care {
    pub(super) path: PathBuf,
    pub(super) salvages: Vec<Progress>,
    /// The store is to be read as a whole.
    pub(super) is_doubtful: bool,
    pub(super) reader: Reader,
    pub(super) submissions: SubmissionQueue,
    pub(super) health: Arc<Health>,
    pub(super) metrics: Arc<Metrics>,
}

impl Care {
    /// Counts damaged stores that nobody was told of yet.
    pub(super) fn begin_counting(&self) {
        let untold = self
            .salvages
            .iter()
            .filter(|salvage| salvage.alert.is_none());
        self.metrics.store_damaged.inc_by(untold.count() as u64);
        self.show(self.salvages.iter().find(|salvage| !salvage.is_done()));
    }

    /// Runs until all is done, then waits for the stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let work = async {
            for salvage in self.salvages.iter().filter(|salvage| !salvage.is_done()) {
                if let Err(error) = self.take_over(salvage.clone()).await {
                    let folder = &*salvage.folder;
                    tracing::error!(%error, folder, "a damaged store cannot be read: it is tried again at the next start");
                }
            }
            self.show(None);
            if self.is_doubtful
                && let Err(error) = self.examine().await
                // Of damage somebody else tells.
                && Damage::of(&error).is_none()
            {
                tracing::warn!(%error, "the store could not be read as a whole");
            }
        };
        tokio::select! {
            _ = async { tokio::join!(work, self.watch()) } => {}
            () = stop.cancelled() => {}
        }
    }

    /// Files that are deleted while nothing is written are missed by nobody else. Never ends.
    async fn watch(&self) {
        loop {
            sleep(WATCH_EVERY).await;
            let reader = self.reader.clone();
            let is_in_place = blocking(move || Ok(reader.is_in_place())).await;
            if matches!(is_in_place, Ok(false)) {
                // The committer looks for itself, whatever it is given. Where it stops it looks no more.
                self.submissions.submit(Submission::default()).await.ok();
            }
        }
    }

    async fn take_over(&self, progress: Progress) -> Result<(), StoreError> {
        let (folder, path) = (Arc::clone(&progress.folder), self.path.clone());
        tracing::info!(
            folder = &*folder,
            stage = progress.stage(),
            "rows of a damaged store are taken over"
        );
        let before = progress.saved;
        let mut salvage = loop {
            // Held until the files are closed, as of the store itself.
            let (path, progress, held) = (path.clone(), progress.clone(), self.reader.clone());
            let opened = blocking(move || Ok((Salvage::open(&path, progress)?, held)));
            match opened.await {
                Err(error) if error.is_lack_of_room() => {
                    tracing::warn!(%error, folder = &*folder, "a damaged store is taken over when there is room for that");
                    sleep(WAIT_FOR_ROOM).await;
                }
                opened => break opened?.0,
            }
        };
        let mut counted = before;
        loop {
            let held = self.reader.clone();
            let slice;
            (salvage, slice, _) = blocking(move || {
                let slice = salvage.next_slice()?;
                Ok((salvage, slice, held))
            })
            .await?;
            // The gateway is stopping: the next start goes on.
            let Ok(progress) = self.submissions.salvage(slice).await else {
                return Ok(());
            };
            self.metrics
                .store_salvaged_rows
                .inc_by(progress.saved.saturating_sub(counted));
            counted = progress.saved;
            salvage.set_alert(progress.alert);
            self.show(Some(&progress));
            if progress.is_done() {
                let (saved, unreadable) = (progress.saved, progress.unreadable);
                blocking(move || salvage.finish()).await?;
                tracing::warn!(
                    folder = &*folder,
                    saved,
                    unreadable,
                    "a damaged store is taken over as far as it can be read"
                );
                return Ok(());
            }
        }
    }

    async fn examine(&self) -> Result<(), StoreError> {
        let mut examination = self.reader.examination();
        loop {
            let started = Instant::now();
            let goes_on;
            (examination, goes_on) = blocking(move || {
                let goes_on = examination.step()?;
                Ok((examination, goes_on))
            })
            .await?;
            if !goes_on {
                let rows = examination.rows();
                tracing::info!(
                    rows,
                    "the store was read as a whole after an unclean end and is sound"
                );
                return Ok(());
            }
            sleep(started.elapsed() * (SHARE - 1)).await;
        }
    }

    fn show(&self, progress: Option<&Progress>) {
        let running = progress.filter(|progress| !progress.is_done());
        self.metrics
            .store_salvage_running
            .set(i64::from(running.is_some()));
        self.health.set_salvage(running.cloned());
    }
}

/// Work that waits for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
