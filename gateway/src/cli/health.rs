//! `edge-gateway health`: asks the running gateway's `/healthz`.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use super::usage;
use crate::config::{Config, Faults};

/// Longer than a healthy gateway ever takes.
const TIMEOUT: Duration = Duration::from_secs(5);
/// More than the answer ever has.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

pub(super) fn main(config: Result<Config, Faults>) -> ExitCode {
    let config = match config {
        Ok(config) => config,
        Err(faults) => return usage(&faults.to_string()),
    };
    match ask(reachable(config.http.listen)) {
        Ok(answer) if answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200") => {
            println!("healthy");
            ExitCode::SUCCESS
        }
        Ok(answer) => {
            let body = answer.split("\r\n\r\n").nth(1).unwrap_or(&answer);
            eprintln!("not healthy: {}", body.trim());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("no gateway answers on {}: {error}", config.http.listen);
            ExitCode::FAILURE
        }
    }
}

/// What listens everywhere is asked on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback = match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        address.set_ip(loopback);
    }
    address
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut answer)?;
    Ok(answer)
}
