//! Side-by-side benchmark: the gateway, which stores every reading before its PUBACK, and bare Mosquitto, which
//! stores nothing, under the same load on one machine. It needs Linux: what a server costs is read from `/proc`.

mod client;
mod frames;
mod gateway;
mod load;
mod mosquitto;
mod process;
mod server;
mod sink;

fn main() {}
