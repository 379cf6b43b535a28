//! Whether the kernel has its wall clock in hand.
//!
//! It is the one call of the gateway that is not safe, in a crate of its own so that all others can forbid `unsafe`: no library offers
//! adjtimex(2) on boards of 32 bits.

/// Whether a time service keeps the wall clock right, as adjtimex(2) tells; `None` if the system does not say. Changes nothing.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a call of the C library")]
pub fn is_synchronised() -> Option<bool> {
    // SAFETY: all fields of the structure are integers. That it is zero, `modes` with it, says that nothing is to be set.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a whole structure of ours, which the call fills and does not keep.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    let is_told = state != -1;
    is_told.then_some(state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0)
}

/// As on Linux: other systems do not say.
#[cfg(not(target_os = "linux"))]
pub fn is_synchronised() -> Option<bool> {
    None
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    #[test]
    fn the_kernel_tells() {
        assert!(super::is_synchronised().is_some());
    }
}
