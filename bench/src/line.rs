//! The line to the cloud: what comes is carried on to a target, until the line is cut.

use std::{
    io,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::{Context, Result};

pub(crate) struct Line {
    address: SocketAddr,
    ends: Arc<Mutex<Ends>>,
}

#[derive(Default)]
struct Ends {
    is_cut: bool,
    sockets: Vec<TcpStream>,
}

impl Line {
    /// Carries on threads that end with the benchmark.
    pub(crate) fn start(target: SocketAddr) -> Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot bind the line")?;
        let address = listener.local_addr()?;
        let ends = Arc::<Mutex<Ends>>::default();
        let shared = Arc::clone(&ends);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if let Err(error) = join(&connection, target, &shared) {
                    eprintln!("line: {error:#}");
                }
            }
        });
        Ok(Self { address, ends })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends what is there, and closes what comes as it comes.
    pub(crate) fn cut(&self) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.is_cut = true;
        for socket in ends.sockets.drain(..) {
            // It may have ended by itself.
            socket.shutdown(Shutdown::Both).ok();
        }
    }

    pub(crate) fn mend(&self) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.is_cut = false;
    }
}

fn join(near: &TcpStream, target: SocketAddr, ends: &Mutex<Ends>) -> Result<()> {
    let mut ends = ends.lock().unwrap_or_else(PoisonError::into_inner);
    if ends.is_cut {
        return Ok(());
    }
    let far = TcpStream::connect(target)?;
    for (from, to) in [(near, &far), (&far, near)] {
        from.set_nodelay(true)?;
        ends.sockets.push(from.try_clone()?);
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        thread::spawn(move || {
            // However it ends, the other side has to learn of it.
            io::copy(&mut from, &mut to).ok();
            to.shutdown(Shutdown::Write).ok();
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_line_carries_until_it_is_cut_and_again_when_it_is_mended() -> Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let line = Line::start(listener.local_addr()?)?;
        let carries = || -> Result<TcpStream> {
            let mut near = TcpStream::connect(line.address())?;
            let (mut far, _) = listener.accept()?;
            let mut heard = [0; 2];
            near.write_all(b"hi")?;
            far.read_exact(&mut heard)?;
            assert_eq!(&heard, b"hi");
            Ok(near)
        };
        let mut near = carries()?;
        line.cut();
        assert_eq!(near.read(&mut [0])?, 0);
        assert_eq!(TcpStream::connect(line.address())?.read(&mut [0])?, 0);
        line.mend();
        carries()?;
        Ok(())
    }
}
