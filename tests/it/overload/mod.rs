//! One client that asks too much, or too little, costs the others nothing and the gateway little.

mod clients;
mod flood;
mod small_machine;
mod subscribers;
