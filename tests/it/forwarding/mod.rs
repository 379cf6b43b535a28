//! What is to be forwarded arrives at the cloud once, whatever the cloud does meanwhile.

mod backlog;
mod held;
mod retried;
mod trust;
mod wire;
