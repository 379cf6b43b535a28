//! The handshake: one request of bounded length, one answer.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::Pages;
use super::request::{Refusal, SUBPROTOCOL, judge};

/// No browser sends so much, whatever cookies it has.
const MAX_HEAD_BYTES: usize = 16 << 10;
const READ_BYTES: usize = 1 << 10;
/// Who is refused has so long to take the answer.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Why no WebSocket was made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Lost(#[from] io::Error),
    #[error("{0:?}")]
    Refused(Refusal),
}

/// Shakes hands; gives what the client sent behind its request. Who is refused has had its answer.
pub(super) async fn accept<S>(stream: &mut S, pages: &Pages) -> Result<Vec<u8>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let judged = match read_head(stream).await? {
        Ok((mut head, length)) => {
            let rest = head.split_off(length);
            judge(&head, pages).map(|key| (key, rest))
        }
        Err(refusal) => Err(refusal),
    };
    match judged {
        Ok((key, rest)) => {
            let accept = derive_accept_key(key.as_bytes());
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await?;
            stream.flush().await?;
            Ok(rest)
        }
        Err(refusal) => {
            // Whoever does not take it in time does not get it.
            time::timeout(REFUSAL_TIMEOUT, refuse(stream, &refusal))
                .await
                .ok();
            Err(Failure::Refused(refusal))
        }
    }
}

/// Reads until the head is complete; gives its length and all that was read.
async fn read_head<S>(stream: &mut S) -> io::Result<Result<(Vec<u8>, usize), Refusal>>
where
    S: AsyncRead + Unpin,
{
    let mut head = Vec::with_capacity(READ_BYTES);
    loop {
        // The empty line may have come in parts.
        let from = head.len().saturating_sub(3);
        let room = (MAX_HEAD_BYTES - head.len()).min(READ_BYTES);
        let mut part = (&mut *stream).take(room as u64);
        if part.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !head[0].is_ascii_uppercase() {
            // MQTT without WebSocket, say: no empty line would ever come.
            return Ok(Err(Refusal::Malformed("this is no HTTP request")));
        }
        let end = head[from..]
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n");
        if let Some(end) = end {
            return Ok(Ok((head, from + end + 4)));
        }
        if MAX_HEAD_BYTES <= head.len() {
            return Ok(Err(Refusal::TooLong));
        }
    }
}

async fn refuse<S>(stream: &mut S, refusal: &Refusal) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (status, headers, reason) = refusal.answer();
    let length = reason.len() + 1;
    let answer = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n{headers}\r\n\
         {reason}\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // A socket that is closed with something unread takes the answer away from who has not read it yet.
    discard(stream).await
}

/// Reads until the other side has closed.
pub(super) async fn discard<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<()> {
    let mut unwanted = [0; READ_BYTES];
    while stream.read(&mut unwanted).await? != 0 {}
    Ok(())
}
