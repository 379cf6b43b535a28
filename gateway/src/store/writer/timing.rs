//! What the committer asks of ranges of readings that were taken while the clock was not trusted.

use super::Writer;
use crate::clock::{Known, Left, Standing};
use crate::domain::reading::ReadingId;
use crate::store::StoreError;
use crate::store::blocks::{Block, Filling};
use crate::store::clock_spans::{self, PutRight, TimesSlice};

impl Writer {
    /// What the store knows of the clock.
    pub fn clock_known(&self) -> Result<Known, StoreError> {
        clock_spans::known(&self.connection)
    }

    /// How the clock stood when it was last looked at.
    pub fn clock_left(&self) -> Result<Option<Left>, StoreError> {
        self.looked_at(clock_spans::left)
    }

    /// How many readings keep their times because the machine was started anew before its clock was trusted; said once.
    pub fn times_left(&self) -> Result<i64, StoreError> {
        clock_spans::left_behind(&self.connection)
    }

    /// What can be put right now that the clock stands so; nothing while readings of damaged stores still come back.
    pub fn to_put_right(&self, standing: Standing) -> Result<Vec<PutRight>, StoreError> {
        if self.is_salvaging {
            return Ok(Vec::new());
        }
        clock_spans::to_put_right(&self.connection, standing)
    }

    /// The last reading that has an id.
    pub fn last_reading_id(&self) -> ReadingId {
        ReadingId(self.given.reading)
    }

    /// Rows were changed, and that is on disk: what is remembered of the block that fills is read again if they are of it.
    pub fn rows_changed(&mut self, slice: &TimesSlice) -> Result<(), StoreError> {
        if self.filling.block() <= Block::of(slice.last().0) {
            self.filling = Filling::load(&self.connection, self.committed.reading)?;
        }
        Ok(())
    }
}
