//! The transaction of a group, and what is kept in memory of what it wrote.

use std::sync::atomic::Ordering;

use rusqlite::{TransactionBehavior, params};

use super::{Counters, Writer};
use crate::store::blocks::{self, Block};
use crate::store::outbox::{self, Growth};
use crate::store::{Group, StoreError, alerts, devices, rejects, rows, rules, salvage, sessions};

/// What a transaction changes of what is kept in memory, once it is on disk.
#[derive(Debug)]
pub(super) struct Written {
    growths: Vec<Growth>,
    adoption: salvage::Adoption,
    unindexed_below: Option<Block>,
    is_salvaging: bool,
    is_saving: bool,
    last_alert: i64,
}

impl Writer {
    /// Writes the group in one transaction. Whatever its COMMIT says, it may be there.
    pub(super) fn write(&mut self, group: &Group, counters: Counters) -> Result<(), StoreError> {
        self.in_doubt = None;
        let is_saving = self.saves_sensors(group);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut growths: Vec<Growth> = Vec::new();
        rows::write_readings(&transaction, group, &self.uplinks, &mut growths)?;
        let mut unindexed_below = blocks::write(&transaction, &group.blocks, self.unindexed_below)?;
        for step in &group.upkeep {
            step.write(&transaction, &mut growths)?;
        }
        alerts::write(&transaction, group)?;
        rejects::write(&transaction, group)?;
        devices::write(&transaction, &group.statuses)?;
        for change in &group.outbox {
            growths.extend(outbox::write(&transaction, change)?);
        }
        for change in &group.sessions {
            sessions::write(&transaction, change)?;
        }
        rules::write_states(&transaction, &group.rule_states)?;
        if let Some(names) = &group.rule_names {
            rules::write_names(&transaction, names)?;
        }
        if group.has_all_rule_states {
            transaction
                .prepare_cached("UPDATE counter SET rules_saved_upto = ?1")?
                .execute([counters.alert])?;
        }
        if is_saving {
            self.sensors.save(&transaction)?;
            self.open_alerts.save(&transaction)?;
            transaction
                .prepare_cached(
                    "UPDATE counter SET sensors_saved_upto = ?1, alerts_saved_upto = ?2",
                )?
                .execute([self.committed.reading, self.committed.alert])?;
        }
        let adoption = salvage::write(&transaction, &group.salvaged, &mut growths)?;
        let is_salvaging = self.is_salvaging && salvage::goes_on(&transaction, &group.salvaged)?;
        if self.is_salvaging && !is_salvaging {
            unindexed_below = Some(self.filling.block());
        }
        let pending = self.uplinks.iter();
        let pending = pending.map(|(key, pending)| (*key, pending.load(Ordering::Relaxed)));
        transaction
            .prepare_cached(
                "UPDATE counter SET commit_group = ?1, reading = ?2, alert = ?3, reject = ?4, batch = ?5, \
                 rules_clock = coalesce(?6, rules_clock), outbox = coalesce(?7, outbox)",
            )?
            .execute(params![
                counters.group,
                counters.reading,
                counters.alert,
                counters.reject,
                counters.batch,
                group.rules_clock,
                outbox::grown(pending, &growths),
            ])?;
        self.in_doubt = Some(Written {
            growths,
            adoption,
            unindexed_below,
            is_salvaging,
            is_saving,
            last_alert: counters.alert,
        });
        Ok(transaction.commit()?)
    }

    /// Keeps in memory what is written of the group.
    pub(super) fn follow(&mut self, group: &Group) {
        let Some(written) = self.in_doubt.take() else {
            return;
        };
        for (grown, by) in written.growths {
            if let Some((_, pending)) = self.uplinks.iter().find(|(key, _)| *key == grown) {
                pending.fetch_add(by, Ordering::Relaxed);
            }
        }
        self.unindexed_below = written.unindexed_below;
        self.is_salvaging = written.is_salvaging;
        if group.has_all_rule_states {
            self.rules_saved_upto = written.last_alert;
        }
        if written.is_saving {
            self.sensors.mark_saved();
            self.open_alerts.mark_saved();
            self.unsaved_readings = 0;
        }
        self.unsaved_readings += group.readings.len();
        self.sensors
            .adopt_salvaged(&written.adoption, &group.salvaged);
    }
}
