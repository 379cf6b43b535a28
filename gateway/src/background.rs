//! Long work beside the committer: it lets others go first now and then. Linux lets a thread that computes finish its slice, some
//! 3 ms, before one that wakes up gets the core: on a small board acks would wait for a backlog (docs/measurements.md, drain).

use std::thread;

/// Of a loop over rows or readings, so many are done at a time: a tenth of a millisecond or so.
const AT_A_TIME: usize = 32;

/// Bytes that are compressed at a time.
pub const BYTES_AT_A_TIME: usize = 16 * 1024;

/// For a loop over many: with the number of what is done next.
pub fn give_way_at(number: usize) {
    if number.is_multiple_of(AT_A_TIME) {
        give_way();
    }
}

/// Lets threads that wait for this core go first.
pub fn give_way() {
    thread::yield_now();
}
