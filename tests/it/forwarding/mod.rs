//! What is to be forwarded arrives at the cloud once, whatever the cloud does meanwhile.

mod answers;
mod backlog;
mod dead_letters;
mod held;
mod kills;
mod lanes;
mod mqtt;
mod mqtt_acks;
mod mqtt_downlink;
mod mqtt_refused;
mod rates;
mod refused;
mod retried;
mod secrets;
mod stalled;
mod trust;
mod uplinks;
mod versions;
mod wire;
