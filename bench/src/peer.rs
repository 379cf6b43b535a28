//! One connection of a load in epoll's hands: packets in, bytes out. It never waits.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use anyhow::{Context, Result, bail};
use mio::{Interest, Registry, Token};

use crate::split::{First, Splitter};

/// What one buffer holds that all peers read into.
pub(crate) const READ_BYTES: usize = 64 << 10;

pub(crate) struct Peer {
    socket: mio::net::TcpStream,
    splitter: Splitter,
    /// Bytes to write; the first `written` of them are.
    out: Vec<u8>,
    written: usize,
}

impl Peer {
    /// Takes a connection whose handshake is done.
    pub(crate) fn new(socket: TcpStream, registry: &Registry, token: Token) -> Result<Self> {
        socket.set_nonblocking(true)?;
        Self::register(mio::net::TcpStream::from_std(socket), registry, token)
    }

    /// The same for a connection of another protocol than MQTT.
    pub(crate) fn split_by(self, first: First) -> Self {
        Self {
            splitter: Splitter::by(first),
            ..self
        }
    }

    /// Begins a connection: what is given to it is written once it stands.
    pub(crate) fn connect(address: SocketAddr, registry: &Registry, token: Token) -> Result<Self> {
        let socket = mio::net::TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        Self::register(socket, registry, token)
    }

    fn register(
        mut socket: mio::net::TcpStream,
        registry: &Registry,
        token: Token,
    ) -> Result<Self> {
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            socket,
            splitter: Splitter::default(),
            out: Vec::new(),
            written: 0,
        })
    }

    /// Calls `on_packet` with each packet that has come, and with the bytes to be written.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        mut on_packet: impl FnMut(&[u8], &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(length) => {
                    let out = &mut self.out;
                    self.splitter
                        .push(&buffer[..length], |packet| on_packet(packet, out))?;
                    // epoll speaks up again after a read that did not fill its buffer.
                    if length < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("reading"),
            }
        }
    }

    /// Whether all that was given to it is written.
    pub(crate) fn is_flushed(&self) -> bool {
        self.out.is_empty()
    }

    /// Where further bytes go; `flush` writes them.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Writes as much as the socket takes.
    pub(crate) fn flush(&mut self) -> Result<()> {
        while self.written < self.out.len() {
            match self.socket.write(&self.out[self.written..]) {
                Ok(0) => bail!("the server takes no more bytes"),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("writing"),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }
}
