//! Black-box tests of the real binary: modules are named by the promise they hold the gateway to.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod mended;
mod shutdown;
mod support;
mod tidy;
