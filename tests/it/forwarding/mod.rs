//! What is to be forwarded arrives at the cloud once, whatever the cloud does meanwhile.

mod answers;
mod backlog;
mod dead_letters;
mod held;
mod kills;
mod lanes;
#[cfg(feature = "mqtt-uplink")]
mod mqtt;
#[cfg(feature = "mqtt-uplink")]
mod mqtt_acks;
#[cfg(feature = "mqtt-uplink")]
mod mqtt_downlink;
#[cfg(feature = "mqtt-uplink")]
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
