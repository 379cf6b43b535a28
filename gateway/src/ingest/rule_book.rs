//! The rules while the gateway runs: read again, replaced, and handed to the committer, which takes them between two groups.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;
use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_blocking;

use super::SubmissionQueue;
use crate::config::{Fault, Faults, RuleSource, SentRules, listed};
use crate::domain::rule::RuleDefinition;
use crate::rules::RuleSet;
use crate::store::Committed;

/// Rules on their way to the committer.
#[derive(Debug)]
pub(super) struct NewRules {
    pub(super) set: RuleSet,
    pub(super) done: oneshot::Sender<Committed>,
}

/// What is known of the rules outside of the committer.
#[derive(Debug)]
pub struct RuleBook {
    source: RuleSource,
    submissions: SubmissionQueue,
    current: Mutex<Arc<[RuleDefinition]>>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
    wake: Arc<Notify>,
}

/// Why rules were not replaced. The old ones stay.
#[derive(Debug, thiserror::Error)]
pub enum NotReplaced {
    #[error("{}", listed(.0))]
    Faulty(Vec<Fault>),
    #[error("the configuration names no rules_file to keep them in")]
    NoFile,
    #[error("the rules file cannot be written: {0}")]
    NotWritten(std::io::Error),
    #[error("the gateway is stopping")]
    Stopped,
}

impl RuleBook {
    /// The rules with which the gateway starts, and where they come from.
    pub fn new(
        current: Vec<RuleDefinition>,
        source: RuleSource,
        submissions: SubmissionQueue,
    ) -> Self {
        Self {
            source,
            submissions,
            current: Mutex::new(current.into()),
            changing: tokio::sync::Mutex::default(),
            wake: Arc::default(),
        }
    }

    /// The rules as they are.
    pub fn current(&self) -> Arc<[RuleDefinition]> {
        Arc::clone(&self.lock())
    }

    /// Notified when somebody wants a [`RuleBook::reload`].
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Takes up what the files say now. Whether that is something new.
    pub async fn reload(&self) -> Result<bool, NotReplaced> {
        let _alone = self.changing.lock().await;
        let source = self.source.clone();
        let rules = blocking(move || source.read().map_err(|faults| faulty(&faults))).await?;
        if *rules == **self.lock() {
            return Ok(false);
        }
        let set = compile(&rules).await?;
        self.take(rules, set).await?;
        Ok(true)
    }

    /// Replaces the rules by those that were sent, which become the rules file.
    pub async fn replace(&self, sent: SentRules) -> Result<(), NotReplaced> {
        let _alone = self.changing.lock().await;
        let source = self.source.clone();
        let (rules, text) = blocking(move || {
            let rules = source.parse_sent(&sent);
            let rules = rules.map_err(|faults| faulty(&faults))?;
            Ok((rules, sent.into_toml()))
        })
        .await?;
        let set = compile(&rules).await?;
        let file = self
            .source
            .rules_file()
            .ok_or(NotReplaced::NoFile)?
            .to_owned();
        blocking(move || write(&file, &text).map_err(NotReplaced::NotWritten)).await?;
        self.take(rules, set).await
    }

    /// The rules that were sent, ready to be asked, if there is no fault in them. Nothing is changed.
    pub async fn check(&self, sent: SentRules) -> Result<RuleSet, NotReplaced> {
        let source = self.source.clone();
        let rules = blocking(move || source.parse_sent(&sent).map_err(|faults| faulty(&faults)));
        compile(&rules.await?).await
    }

    async fn take(&self, rules: Vec<RuleDefinition>, set: RuleSet) -> Result<(), NotReplaced> {
        let (done, taken) = oneshot::channel();
        let asked = self.submissions.replace_rules(NewRules { set, done }).await;
        asked.map_err(|_| NotReplaced::Stopped)?;
        taken.await.map_err(|_| NotReplaced::Stopped)?;
        *self.lock() = rules.into();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Arc<[RuleDefinition]>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn compile(rules: &[RuleDefinition]) -> Result<RuleSet, NotReplaced> {
    let rules = rules.to_vec();
    blocking(move || RuleSet::compile(&rules).map_err(NotReplaced::Faulty)).await
}

fn faulty(read: &Faults) -> NotReplaced {
    NotReplaced::Faulty(RuleSet::faults_of(read))
}

/// Does what may take a while off the async threads. It is cut off only when the gateway stops.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NotReplaced> + Send + 'static,
) -> Result<T, NotReplaced> {
    let done = spawn_blocking(work).await;
    done.unwrap_or(Err(NotReplaced::Stopped))
}

/// Whoever reads the file sees the old text or the new one, also after a power cut. Who may read it stays as it was, and a link
/// to it stays a link.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    if let Ok(there) = std::fs::metadata(path) {
        file.as_file().set_permissions(there.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()
}
