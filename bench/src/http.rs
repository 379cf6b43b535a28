//! HTTP/1.1 as bytes, and one question to the gateway's API.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use anyhow::{Context, Result, ensure};

/// A request that brings readings.
pub(crate) fn push_post(bytes: &mut Vec<u8>, body: &str) -> Result<()> {
    write!(
        bytes,
        "POST /data HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    Ok(())
}

/// Fails unless an answer says that the readings were taken.
pub(crate) fn check(answer: &[u8]) -> Result<()> {
    ensure!(
        answer.starts_with(b"HTTP/1.1 2"),
        "{}",
        String::from_utf8_lossy(answer)
    );
    Ok(())
}

/// Whether somebody answers.
pub(crate) fn answers(address: SocketAddr) -> bool {
    let mut begin = [0; 4];
    let asked = TcpStream::connect(address).and_then(|mut stream| {
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        stream.read_exact(&mut begin)
    });
    asked.is_ok() && begin == *b"HTTP"
}

/// The body at `path`.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.contains(" 200 "), "{path}: {head}");
    Ok(body.to_owned())
}
