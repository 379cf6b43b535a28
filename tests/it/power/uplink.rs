//! A receiver that confirms part of what it gets, and remembers under which key each reading came.

use std::collections::{HashMap, HashSet};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::receiver::{Receiver, Request, write_answer};

#[derive(Default)]
struct Seen {
    /// By key, its bytes.
    bodies: HashMap<String, Vec<u8>>,
    /// By the number of a reading, its key.
    keys: HashMap<i64, String>,
    /// Of these the gateway may know that they are delivered.
    accepted: HashSet<i64>,
    faults: Vec<String>,
}

pub(super) struct Uplink {
    receiver: Receiver,
    refuses: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
}

impl Seen {
    fn see(&mut self, request: &Request, is_accepted: bool) {
        let key = request.header("idempotency-key").to_owned();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let before = self
            .bodies
            .entry(key.clone())
            .or_insert_with(|| request.body.clone());
        if *before != request.body {
            self.faults
                .push(format!("{key} stands for other bytes than before"));
        }
        for reading in body["readings"].as_array().unwrap() {
            let id = reading["id"].as_i64().unwrap();
            let before = self.keys.entry(id).or_insert_with(|| key.clone());
            if *before != key {
                self.faults
                    .push(format!("reading {id} came as {before} and as {key}"));
            }
            if is_accepted {
                self.accepted.insert(id);
            }
        }
    }
}

impl Uplink {
    pub(super) fn start() -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let shared = Arc::clone(&seen);
        let refuses = Arc::<AtomicBool>::default();
        let is_refused = Arc::clone(&refuses);
        let receiver = Receiver::judging(move |number, request, stream: &mut TcpStream| {
            // Every other one is accepted at once; of one the answer is lost.
            let outcome = if is_refused.load(Ordering::Relaxed) {
                1
            } else {
                number % 4
            };
            shared.lock().unwrap().see(request, outcome != 1);
            match outcome {
                1 => write_answer(stream, "503 Service Unavailable", "", ""),
                3 => {}
                _ => write_answer(stream, "200 OK", "", ""),
            }
        });
        Self {
            receiver,
            refuses,
            seen,
        }
    }

    /// Whether it takes nothing.
    pub(super) fn refuses(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Relaxed);
    }

    pub(super) fn section(&self, keys: &str) -> String {
        self.receiver.section(keys)
    }

    /// The numbers of readings that it has, after a look at what came.
    pub(super) fn accepted(&self) -> HashSet<i64> {
        self.receiver.forget();
        let seen = self.seen.lock().unwrap();
        assert!(seen.faults.is_empty(), "{:#?}", seen.faults);
        seen.accepted.clone()
    }
}
