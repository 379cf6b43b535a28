//! A broker that says over a plain socket whatever it is told to.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use super::frames::V311;
use super::raw::Raw;

/// Listens for as long as the test runs.
pub(crate) struct PlainBroker {
    address: SocketAddr,
}

impl PlainBroker {
    /// Each connection, one after the other, is let in; then `serve` gets its number, from 0, and says the rest.
    pub(crate) fn start(serve: impl FnMut(usize, &mut Raw) + Send + 'static) -> Self {
        Self::answering(|_| 0, serve)
    }

    /// The same, but whether a connection is let in is for its return code of CONNACK to say.
    pub(crate) fn answering(
        code_of: impl Fn(usize) -> u8 + Send + 'static,
        mut serve: impl FnMut(usize, &mut Raw) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for number in 0.. {
                let Ok((socket, _)) = listener.accept() else {
                    return;
                };
                let mut raw = Raw::over(socket, V311, |socket| Box::new(socket));
                if raw.receive().is_some() {
                    let code = code_of(number);
                    raw.send(&[0x20, 2, 0, code]);
                    if code == 0 {
                        serve(number, &mut raw);
                    }
                }
            }
        });
        Self { address }
    }

    /// The section of a gateway that delivers there.
    pub(crate) fn section(&self, keys: &str) -> String {
        super::mosquitto::section(&format!("mqtt://{}", self.address), keys)
    }
}
