//! How far a publisher may be ahead of those who receive: its window. Pure arithmetic, no sockets.
//!
//! A publish leaves the window when each receiver has it, and the publisher its ack. So no queue between them can hold
//! more than the window, and no bound of a server is reached.

use std::collections::VecDeque;

use anyhow::{Context, Result, ensure};

use crate::frames::Publishes;

/// The publishes of one publisher that are on their way.
pub(crate) struct Window {
    size: usize,
    /// Those who have to have each publish before it is done with: its receivers, and its ack.
    parties: u32,
    /// How many parties each publish lacks, from the oldest that is not done with.
    lacking: VecDeque<u32>,
    /// The number of the first in `lacking`.
    oldest: u64,
}

impl Window {
    pub(crate) fn new(size: usize, receivers: u32, is_acked: bool) -> Self {
        Self {
            size,
            parties: receivers + u32::from(is_acked),
            lacking: VecDeque::with_capacity(size),
            oldest: 0,
        }
    }

    /// How many further publishes may be sent now. None while more than half of the window is on its way: a publish for
    /// each arrival would make tiny writes.
    pub(crate) fn room(&self) -> usize {
        let room = self.size - self.lacking.len();
        if room < self.size.div_ceil(2) {
            0
        } else {
            room
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lacking.is_empty()
    }

    /// A publish is sent; gives its number.
    pub(crate) fn send(&mut self) -> u64 {
        self.lacking.push_back(self.parties);
        self.oldest + self.lacking.len() as u64 - 1
    }

    /// A receiver has publish `seq`.
    pub(crate) fn arrived(&mut self, seq: u64) -> Result<()> {
        let Some(index) = seq.checked_sub(self.oldest) else {
            // It was given up.
            return Ok(());
        };
        let lacking = self
            .lacking
            .get_mut(usize::try_from(index)?)
            .with_context(|| format!("publish {seq} arrived, which was not sent"))?;
        ensure!(0 < *lacking, "publish {seq} arrived too often");
        *lacking -= 1;
        while self.lacking.front() == Some(&0) {
            self.lacking.pop_front();
            self.oldest += 1;
        }
        Ok(())
    }

    /// The server has acked the publish on its way that has `packet_id`.
    pub(crate) fn acked(&mut self, packet_id: u16) -> Result<()> {
        const IDS: u64 = u16::MAX as u64;
        let oldest = self.oldest % IDS;
        let wanted = u64::from(packet_id)
            .checked_sub(1)
            .context("packet id 0 was acked")?;
        self.arrived(self.oldest + (wanted + IDS - oldest) % IDS)
    }

    /// Waits no longer for what is on its way.
    pub(crate) fn give_up(&mut self) {
        self.oldest += self.lacking.len() as u64;
        self.lacking.clear();
    }
}

/// The packet id of publish `seq`.
pub(crate) fn packet_id(seq: u64) -> u16 {
    Publishes::packet_id((seq % u64::from(u16::MAX)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_is_done_with_when_all_receivers_and_the_ack_have_come() -> Result<()> {
        let mut window = Window::new(2, 2, true);
        assert_eq!((window.room(), window.send(), window.send()), (2, 0, 1));
        assert_eq!(window.room(), 0);
        for _ in 0..2 {
            window.arrived(1)?;
            window.arrived(0)?;
        }
        window.acked(2)?;
        assert_eq!(window.room(), 0, "the first is not acked");
        window.acked(1)?;
        assert!(window.is_empty());
        assert_eq!((window.room(), window.send()), (2, 2));
        Ok(())
    }

    #[test]
    fn room_is_given_by_halves() -> Result<()> {
        let mut window = Window::new(5, 1, false);
        for _ in 0..5 {
            window.send();
        }
        let mut rooms = Vec::new();
        for seq in 0..5 {
            window.arrived(seq)?;
            rooms.push(window.room());
        }
        assert_eq!(rooms, [0, 0, 3, 4, 5]);
        Ok(())
    }

    #[test]
    fn packet_ids_that_begin_again_are_told_apart() -> Result<()> {
        let mut window = Window::new(4, 0, true);
        for seq in 0..70_000 {
            assert_eq!(window.send(), seq);
            window.acked(packet_id(seq))?;
        }
        assert_eq!([0, 65_534, 65_535].map(packet_id), [1, 65_535, 1]);
        assert!(window.is_empty());
        Ok(())
    }

    #[test]
    fn what_cannot_be_is_a_fault() -> Result<()> {
        let mut window = Window::new(4, 1, true);
        window.send();
        assert!(window.arrived(1).is_err());
        assert!(window.acked(2).is_err());
        assert!(window.acked(0).is_err());
        window.arrived(0)?;
        window.acked(1)?;
        window.send();
        window.send();
        window.arrived(2)?;
        window.acked(3)?;
        assert!(window.acked(3).is_err());
        Ok(())
    }

    #[test]
    fn what_was_given_up_may_still_come() -> Result<()> {
        let mut window = Window::new(2, 1, false);
        window.send();
        window.send();
        window.give_up();
        assert!(window.is_empty());
        window.arrived(1)?;
        assert_eq!(window.send(), 2);
        Ok(())
    }
}
