//! What was read of a damaged store on its way into a group, and the alert that tells of the damage.

use super::{Committer, Pending};
use crate::clock;
use crate::domain::alert::{Alert, AlertState};
use crate::domain::reading::{Attributes, ReadingId};
use crate::domain::rule::Severity;
use crate::domain::sensor::SensorId;
use crate::ingest::SalvageRequest;

/// The name under which the alert goes, where others have the names of their rules.
const RULE: &str = "store-damaged";

impl Committer {
    pub(super) fn take_salvage(&mut self, request: SalvageRequest, pending: &mut Pending) {
        let SalvageRequest { mut slice, done } = request;
        let progress = slice.progress().clone();
        let episode = progress.alert.unwrap_or_else(|| {
            let episode = self.writer.next_alert_id();
            slice.set_alert(episode);
            let message = format!(
                "the store was damaged: {}. It lies in {}; what can be read of it is taken over",
                progress.reason, progress.folder
            );
            self.tell(episode, episode, AlertState::Raised, 0.0, message, pending);
            episode
        });
        if progress.is_done() {
            self.timing.plan();
            let message = format!(
                "{} rows of the damaged store were taken over, {} could not be read. It still lies in {}",
                progress.saved, progress.unreadable, progress.folder
            );
            let (id, unreadable) = (self.writer.next_alert_id(), progress.unreadable as f64);
            self.tell(
                id,
                episode,
                AlertState::Cleared,
                unreadable,
                message,
                pending,
            );
        }
        let progress = slice.progress().clone();
        self.writer.add_salvage(&mut pending.group, slice);
        pending.answer(done, |_| progress);
    }

    /// The alerts that tell of damaged stores whose rows are still taken over.
    pub(super) fn salvage_alerts(&self) -> Vec<i64> {
        let salvages = self.writer.salvages().unwrap_or_default();
        let running = salvages.into_iter().filter(|salvage| !salvage.is_done());
        running.filter_map(|salvage| salvage.alert).collect()
    }

    fn tell(
        &mut self,
        alert_id: i64,
        episode: i64,
        state: AlertState,
        value: f64,
        message: String,
        pending: &mut Pending,
    ) {
        let alert = Alert {
            gateway_id: self.settings.gateway_id.clone(),
            alert_id,
            episode,
            rule: RULE.into(),
            state,
            sensor_id: SensorId::gateway(),
            value,
            ts: clock::now(),
            reading_id: ReadingId(0),
            attributes: Attributes::default(),
            severity: Some(Severity::Critical),
            message: Some(message.into()),
            group: None,
        };
        self.add_alert(alert, pending);
    }
}
