//! All readings as one answer, to who reads as fast as it comes and to who does not.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    process,
    server::Server,
    table::{decimals, row_of, whole},
};

pub(super) const SLOW_MIB: usize = 8;
pub(super) const SLOW_FOR: Duration = Duration::from_secs(10);
const SIP: usize = 64 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    Fast,
    Slow,
}

pub(super) struct Streamed {
    format: &'static str,
    pace: Pace,
    lines: u64,
    bytes: u64,
    took: Duration,
    before_kib: u64,
    peak_kib: u64,
}

pub(super) fn measure(
    server: &Server,
    http: SocketAddr,
    format: &'static str,
    pace: Pace,
    readings: u64,
) -> Result<Streamed> {
    let before_kib = process::resident_kib(server.pid())?;
    let mut stream = TcpStream::connect(http)?;
    let started = Instant::now();
    let path = format!("/api/v1/readings?format={format}");
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {http}\r\n\r\n")?;
    let (mut lines, mut bytes, mut buffer) = (0, 0_u64, vec![0; SIP]);
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        bytes += length as u64;
        lines += buffer[..length]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count() as u64;
        if pace == Pace::Slow {
            let due = Duration::from_secs_f64(bytes as f64 / (SLOW_MIB << 20) as f64);
            thread::sleep(due.saturating_sub(started.elapsed()));
            if SLOW_FOR < started.elapsed() {
                break;
            }
        }
    }
    // The lines of the head end as those of the body do.
    ensure!(
        pace == Pace::Slow || readings <= lines,
        "{lines} lines came"
    );
    Ok(Streamed {
        format,
        pace,
        lines,
        bytes,
        took: started.elapsed(),
        before_kib,
        peak_kib: process::peak_resident_kib(server.pid())?,
    })
}

impl Streamed {
    pub(super) fn row(&self) -> String {
        let mib = |kib: u64| decimals::<1>(kib as f64 / 1024.0);
        let name = match self.pace {
            Pace::Fast => "fast",
            Pace::Slow => "slow",
        };
        row_of([
            self.format.to_owned(),
            name.to_owned(),
            whole(self.lines as f64 / self.took.as_secs_f64()),
            whole(self.bytes as f64 / f64::from(1 << 20)),
            decimals::<1>(self.took.as_secs_f64()),
            mib(self.before_kib),
            mib(self.peak_kib),
        ])
    }

    pub(super) fn line(&self) -> String {
        self.row().trim().to_owned()
    }
}
