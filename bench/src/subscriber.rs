//! A client that subscribes to alerts and notes when each arrives. It has a thread of its own and does nothing else.

use std::{
    io::{ErrorKind, Read},
    net::{SocketAddr, TcpStream},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::{client, split::Splitter};

const PUBLISH: u8 = 0x30;
/// Nothing for so long after the last publish means that nothing more will come.
const QUIET: Duration = Duration::from_secs(2);
const BUFFER_BYTES: usize = 64 << 10;

pub(crate) struct Arrival {
    /// Of the reading that raised the alert.
    pub(crate) seq: u64,
    pub(crate) at: Instant,
}

/// Subscribes, and then collects `expected` alerts, or what has come by `last_publish` and a while after.
pub(crate) fn collect(
    address: SocketAddr,
    expected: usize,
    last_publish: Instant,
) -> Result<JoinHandle<Result<Vec<Arrival>>>> {
    let mut socket = client::handshake(address, "bench-subscriber")?;
    client::subscribe(&mut socket, &["alerts/#"], 0)?;
    Ok(thread::spawn(move || {
        follow(socket, expected, last_publish)
    }))
}

/// The thread's result.
pub(crate) fn join(thread: JoinHandle<Result<Vec<Arrival>>>) -> Result<Vec<Arrival>> {
    thread
        .join()
        .map_err(|_| anyhow!("the subscriber's thread panicked"))?
}

fn follow(mut socket: TcpStream, expected: usize, last_publish: Instant) -> Result<Vec<Arrival>> {
    socket.set_read_timeout(Some(QUIET))?;
    let mut arrivals = Vec::with_capacity(expected);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut splitter = Splitter::default();
    while arrivals.len() < expected {
        let length = match socket.read(&mut buffer) {
            Ok(0) => bail!("the server closed the subscriber's connection"),
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if last_publish < Instant::now() {
                    break;
                }
                continue;
            }
            Err(error) => return Err(error).context("reading alerts"),
        };
        let at = Instant::now();
        splitter.push(&buffer[..length], |frame| {
            ensure!(
                frame[0] & 0xF0 == PUBLISH,
                "{:#04x} is no PUBLISH",
                frame[0]
            );
            if is_cleared(frame) {
                return Ok(());
            }
            let seq = seq_in(frame).context("an alert without a seq")?;
            arrivals.push(Arrival { seq, at });
            Ok(())
        })?;
    }
    Ok(arrivals)
}

/// Whether it says that an alert is over: the stock gateway does not.
pub(crate) fn is_cleared(frame: &[u8]) -> bool {
    const CLEARED: &[u8] = br#""state":"cleared""#;
    frame.windows(CLEARED.len()).any(|part| part == CLEARED)
}

/// The number behind `"seq":`, wherever in the payload it stands.
pub(crate) fn seq_in(frame: &[u8]) -> Option<u64> {
    const KEY: &[u8] = br#""seq":"#;
    let start = frame.windows(KEY.len()).position(|part| part == KEY)? + KEY.len();
    let digits = frame[start..]
        .iter()
        .skip_while(|byte| **byte == b' ')
        .take_while(|byte| byte.is_ascii_digit());
    let digits: String = digits.map(|&byte| char::from(byte)).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_found_wherever_it_stands() {
        assert_eq!(seq_in(b"\x30\x10\x00\x03a/b{\"seq\":407}"), Some(407));
        assert_eq!(seq_in(b"{\"seq\":8,\"value\":9}"), Some(8));
        assert_eq!(seq_in(b"{\"value\": 9, \"seq\": 8}"), Some(8));
        assert_eq!(seq_in(b"{\"seq\":null}"), None);
    }
}
