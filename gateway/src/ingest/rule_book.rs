//! The rules while the gateway runs: read again, replaced, and handed to the committer, which takes them between two groups.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;
use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_blocking;

use super::SubmissionQueue;
use crate::config::{Faults, RuleSource};
use crate::domain::rule::RuleDefinition;
use crate::rules::{RuleFault, RuleSet};
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
    #[error("{0}")]
    Faulty(Faults),
    #[error("{}", .0.iter().map(RuleFault::to_string).collect::<Vec<_>>().join("\n"))]
    NotCompiled(Vec<RuleFault>),
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
        let read = spawn_blocking(move || source.read()).await;
        let rules = read
            .map_err(|_| NotReplaced::Stopped)?
            .map_err(NotReplaced::Faulty)?;
        if *rules == **self.lock() {
            return Ok(false);
        }
        let set = compile(&rules).await?;
        self.take(rules, set).await?;
        Ok(true)
    }

    /// Replaces the rules by those of a TOML text, which becomes the rules file.
    pub async fn replace(&self, text: String) -> Result<(), NotReplaced> {
        let _alone = self.changing.lock().await;
        let rules = self
            .source
            .parse(&text, &"rules".into())
            .map_err(NotReplaced::Faulty)?;
        let set = compile(&rules).await?;
        let file = self
            .source
            .rules_file()
            .ok_or(NotReplaced::NoFile)?
            .to_owned();
        let written = spawn_blocking(move || write(&file, &text)).await;
        written
            .map_err(|_| NotReplaced::Stopped)?
            .map_err(NotReplaced::NotWritten)?;
        self.take(rules, set).await
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
    let compiled = spawn_blocking(move || RuleSet::compile(&rules)).await;
    compiled
        .map_err(|_| NotReplaced::Stopped)?
        .map_err(NotReplaced::NotCompiled)
}

/// Whoever reads the file sees the old text or the new one, also after a power cut.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()
}
