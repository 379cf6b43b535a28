//! How large a body may be, as far as the receiver has shown. Pure.

/// After so many batches that were taken, larger ones are tried again.
const TAKEN_BEFORE_LARGER: u32 = 100;

#[derive(Clone, Debug)]
pub(super) struct BodyLimit {
    configured: usize,
    bytes: usize,
    /// Batches taken since it has changed.
    taken: u32,
}

impl BodyLimit {
    /// In bytes.
    pub(super) fn new(configured: usize) -> Self {
        Self {
            configured,
            bytes: configured,
            taken: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A body of so many bytes was too large.
    pub(super) fn was_too_large(&mut self, bytes: usize) {
        self.bytes = self.bytes.min(bytes / 2).max(1);
        self.taken = 0;
    }

    /// A batch was taken.
    pub(super) fn was_taken(&mut self) {
        self.taken += 1;
        if TAKEN_BEFORE_LARGER <= self.taken {
            self.bytes = self.configured.min(self.bytes.saturating_mul(2));
            self.taken = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shrinks_at_once_and_grows_slowly_up_to_what_is_configured() {
        let mut limit = BodyLimit::new(1000);
        limit.was_too_large(900);
        assert_eq!(limit.bytes(), 450);
        // A larger one that was on its way tells nothing new.
        limit.was_too_large(1000);
        assert_eq!(limit.bytes(), 450);
        let mut taken = |count, expected| {
            (0..count).for_each(|_| limit.was_taken());
            assert_eq!(limit.bytes(), expected);
        };
        taken(99, 450);
        taken(1, 900);
        taken(100, 1000);
        taken(100, 1000);
        limit.was_too_large(1);
        assert_eq!(limit.bytes(), 1);
    }
}
