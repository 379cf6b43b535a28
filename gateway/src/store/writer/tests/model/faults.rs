//! How a group gets to disk, or does not: failures before and behind the COMMIT, kills, restarts.

use super::*;

/// What went wrong with a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// The file may grow by so many pages only, until it is opened anew.
    Full(i64),
    /// The COMMIT fails, and what it wrote is there.
    Doubtful,
    /// Nobody hears that it is there.
    KilledBehind,
}

impl Pair {
    /// Writes the group, or loses it with a kill before it is written.
    pub(super) fn commit(&mut self) {
        let group = std::mem::take(&mut self.group);
        let effects = std::mem::take(&mut self.effects);
        self.write(&group, effects);
    }

    /// Whether it is on disk.
    pub(super) fn write(&mut self, group: &Group, effects: Vec<Effect>) -> bool {
        let fault = match self.rng.u32(..40) {
            0..2 => Fault::Full(self.rng.i64(0..6)),
            2 => Fault::Doubtful,
            3 => Fault::KilledBehind,
            _ => Fault::None,
        };
        if let Fault::Full(more) = fault {
            let connection = &self.writer().connection;
            let pages = connection.pragma_query_value(None, "page_count", |row| row.get(0));
            let most: i64 = pages.unwrap();
            connection
                .pragma_update(None, "max_page_count", most + more)
                .unwrap();
        }
        if fault == Fault::Doubtful {
            self.count("doubtful");
            self.writer().write_in_doubt(group);
        }
        let mut outcome = self.writer().commit(group);
        if outcome.is_err() {
            assert!(matches!(fault, Fault::Full(_)), "{outcome:?}");
            self.count("full");
            if self.rng.bool() {
                self.count("killed before");
                self.kill();
                return false;
            }
            // The connection that is opened anew has room again.
            outcome = self.writer().commit(group);
        }
        outcome.unwrap();
        for effect in effects {
            effect(&mut self.model);
        }
        match fault {
            Fault::KilledBehind => {
                self.count("killed behind");
                self.kill();
            }
            Fault::None | Fault::Doubtful | Fault::Full(_) => {
                let unlimited = i64::from(u32::MAX) - 1;
                let connection = &self.writer().connection;
                connection
                    .pragma_update(None, "max_page_count", unlimited)
                    .unwrap();
            }
        }
        true
    }

    /// As SIGKILL leaves it: the log is not copied.
    fn kill(&mut self) {
        drop(self.writer.take().unwrap());
        self.begin_again();
    }

    pub(super) fn restart(&mut self) {
        if self.rng.bool() {
            self.count("killed");
            return self.kill();
        }
        self.count("restarted");
        let writer = self.writer.take().unwrap();
        writer.end();
        self.begin_again();
    }

    fn begin_again(&mut self) {
        self.claims = Default::default();
        self.group = Group::default();
        self.effects.clear();
        self.open();
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}
