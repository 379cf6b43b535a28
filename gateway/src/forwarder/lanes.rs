//! Two lanes: fresh readings, and the backlog that an outage has left. Pure.
//!
//! While both wait, the backlog gets its share of the bytes; while one waits, it gets all. Within a lane the order of
//! first sending is that of the ids.

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Fresh,
    Backlog,
}

/// Whose turn it is.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    /// Of the backlog, in thousandths.
    share: u16,
    /// What the backlog has had more than its share, in thousandths of a byte.
    surplus: i64,
}

impl Turns {
    /// `share` is that of the backlog, in thousandths.
    pub(super) fn new(share: u16) -> Self {
        Self { share, surplus: 0 }
    }

    /// Who goes next, if anybody waits.
    pub(super) fn next(&self, is_fresh_waiting: bool, is_backlog_waiting: bool) -> Option<Lane> {
        match (is_fresh_waiting, is_backlog_waiting) {
            (false, false) => None,
            (true, false) => Some(Lane::Fresh),
            (false, true) => Some(Lane::Backlog),
            (true, true) if self.share == 0 => Some(Lane::Fresh),
            (true, true) if self.share == 1000 || self.surplus < 0 => Some(Lane::Backlog),
            (true, true) => Some(Lane::Fresh),
        }
    }

    /// A lane got something while both waited.
    pub(super) fn took(&mut self, lane: Lane, bytes: usize) {
        let (bytes, share) = (bytes as i64, i64::from(self.share));
        self.surplus += match lane {
            Lane::Backlog => bytes * (1000 - share),
            Lane::Fresh => -bytes * share,
        };
    }

    /// One of them had nothing that waited: what went before does not count any more.
    pub(super) fn forget(&mut self) {
        self.surplus = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The part of the bytes that the backlog gets, in thousandths.
    fn turns_of_backlog(share: u16, fresh: usize, backlog: usize) -> u64 {
        let mut turns = Turns::new(share);
        let mut bytes_of_backlog = 0;
        let mut all = 0;
        for _ in 0..100_000 {
            let lane = turns.next(true, true).unwrap();
            let bytes = if lane == Lane::Fresh { fresh } else { backlog };
            turns.took(lane, bytes);
            all += bytes as u64;
            if lane == Lane::Backlog {
                bytes_of_backlog += bytes as u64;
            }
        }
        bytes_of_backlog * 1000 / all
    }

    #[test]
    fn the_backlog_gets_its_share_of_the_bytes() {
        for share in [0, 100, 250, 500, 900, 1000] {
            for (fresh, backlog) in [(1000, 1000), (100, 5000), (5000, 100)] {
                let found = turns_of_backlog(share, fresh, backlog);
                assert!(found.abs_diff(share.into()) <= 10, "{share}: {found}");
            }
        }
    }

    #[test]
    fn the_first_turn_is_that_of_what_is_fresh() {
        let turns = Turns::new(500);
        assert_eq!(turns.next(true, true), Some(Lane::Fresh));
        assert_eq!(turns.next(true, false), Some(Lane::Fresh));
        assert_eq!(turns.next(false, true), Some(Lane::Backlog));
        assert_eq!(turns.next(false, false), None);
    }
}
