//! A client that subscribes to alerts and notes when each arrives. It has a thread of its own and does nothing else.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::{client, frames};

const SUBACK: u8 = 0x90;
const PUBLISH: u8 = 0x30;
const SUBACK_BYTES: usize = 5;
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
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
    socket.write_all(&frames::subscribe("alerts/#", 1)?)?;
    socket.set_read_timeout(Some(ANSWER_LIMIT))?;
    let mut answer = [0; SUBACK_BYTES];
    socket.read_exact(&mut answer).context("no SUBACK")?;
    ensure!(
        answer == [SUBACK, 3, 0, 1, 0],
        "the subscription was answered by {answer:02x?}"
    );
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
    let mut filled = 0;
    while arrivals.len() < expected {
        match socket.read(&mut buffer[filled..]) {
            Ok(0) => bail!("the server closed the subscriber's connection"),
            Ok(length) => filled += length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if last_publish < Instant::now() {
                    break;
                }
            }
            Err(error) => return Err(error).context("reading alerts"),
        }
        let at = Instant::now();
        let mut used = 0;
        while let Some((frame, rest)) = split_frame(&buffer[used..filled])? {
            let seq = seq_in(frame).context("an alert without a seq")?;
            arrivals.push(Arrival { seq, at });
            used = filled - rest;
        }
        buffer.copy_within(used..filled, 0);
        filled -= used;
    }
    Ok(arrivals)
}

/// The first PUBLISH and how many bytes are behind it; `None` while it is not whole.
fn split_frame(bytes: &[u8]) -> Result<Option<(&[u8], usize)>> {
    let mut length = 0;
    for (index, &byte) in bytes.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            ensure!(
                bytes[0] & 0xF0 == PUBLISH,
                "packet {:#04x} is no PUBLISH",
                bytes[0]
            );
            let end = 2 + index + length;
            return Ok(bytes.get(..end).map(|frame| (frame, bytes.len() - end)));
        }
    }
    ensure!(bytes.len() < 5, "a remaining length without an end");
    Ok(None)
}

/// The number behind `"seq":`, wherever in the payload it stands.
fn seq_in(frame: &[u8]) -> Option<u64> {
    const KEY: &[u8] = br#""seq":"#;
    let start = frame.windows(KEY.len()).position(|part| part == KEY)? + KEY.len();
    let digits = frame[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    let digits: String = digits.map(|&byte| char::from(byte)).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_split_off_once_it_is_whole() -> Result<()> {
        let frame = b"\x30\x10\x00\x03a/b{\"seq\":407}";
        let two = [&frame[..], b"\x30"].concat();
        for cut in 0..frame.len() {
            assert!(split_frame(&two[..cut])?.is_none(), "{cut}");
        }
        let (first, rest) = split_frame(&two)?.context("whole")?;
        assert_eq!((first, rest, seq_in(first)), (&frame[..], 1, Some(407)));
        assert!(split_frame(b"\x40\x02\x00\x01").is_err());
        Ok(())
    }
}
