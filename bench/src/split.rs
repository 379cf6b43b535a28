//! Packets, or answers of HTTP, out of a stream of bytes, however the reads cut it. It tells where each ends and not what it says.

use anyhow::{Context, Result, ensure};

/// The first packet and what is behind it; `None` while it is not whole.
pub(crate) type First = fn(&[u8]) -> Result<Option<(&[u8], &[u8])>>;

/// Keeps the packet that a read has cut until the rest of it comes.
pub(crate) struct Splitter {
    first: First,
    begun: Vec<u8>,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::by(first_packet)
    }
}

impl Splitter {
    /// One for a protocol whose first packet `first` tells.
    pub(crate) fn by(first: First) -> Self {
        Self {
            first,
            begun: Vec::new(),
        }
    }

    /// Calls `on_packet` with each packet that `bytes` completes.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        mut on_packet: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        if self.begun.is_empty() {
            let rest = self.each_packet(bytes, on_packet)?;
            self.begun.extend_from_slice(rest);
            return Ok(());
        }
        self.begun.extend_from_slice(bytes);
        let rest = self.each_packet(&self.begun, &mut on_packet)?.len();
        self.begun.drain(..self.begun.len() - rest);
        Ok(())
    }

    /// Calls `on_packet` with each whole packet, and gives what is left behind them.
    fn each_packet<'b>(
        &self,
        mut bytes: &'b [u8],
        mut on_packet: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<&'b [u8]> {
        while let Some((packet, rest)) = (self.first)(bytes)? {
            on_packet(packet)?;
            bytes = rest;
        }
        Ok(bytes)
    }
}

/// The first packet of MQTT, as [`First`].
pub(crate) fn first_packet(bytes: &[u8]) -> Result<Option<(&[u8], &[u8])>> {
    let mut length = 0;
    for (index, &byte) in bytes.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(bytes.split_at_checked(2 + index + length));
        }
    }
    ensure!(bytes.len() < 5, "a remaining length without an end");
    Ok(None)
}

/// The part of a packet behind its remaining length.
pub(crate) fn body(packet: &[u8]) -> &[u8] {
    let length_bytes = packet.iter().skip(1).take_while(|&&byte| byte & 0x80 != 0);
    packet.get(2 + length_bytes.count()..).unwrap_or_default()
}

/// The first answer of HTTP/1.1, as [`First`]: one with a `content-length`, as all have that are compared.
pub(crate) fn first_answer(bytes: &[u8]) -> Result<Option<(&[u8], &[u8])>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = str::from_utf8(&bytes[..end]).context("a head that is no text")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then_some(value.trim())
    });
    let length: usize = length.context("an answer without its length")?.parse()?;
    Ok(bytes.split_at_checked(end + 4 + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_end_where_their_length_says() -> Result<()> {
        let first = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}";
        let both = [&first[..], b"HTTP/1.1 400 Bad Request\r\n"].concat();
        assert_eq!(first_answer(&both)?, Some(both.split_at(first.len())));
        assert_eq!(first_answer(&first[..first.len() - 1])?, None);
        assert_eq!(first_answer(b"HTTP/1.1 201 Created\r\n")?, None);
        assert!(first_answer(b"HTTP/1.1 201 Created\r\n\r\n").is_err());
        Ok(())
    }

    #[test]
    fn packets_are_whole_wherever_the_reads_cut_them() -> Result<()> {
        let long = [&[0x30, 0xC8, 0x01][..], &[7; 200]].concat();
        let packets = [
            &[0x40, 2, 0, 1][..],
            &long,
            &[0xD0, 0],
            &[0x30, 3, 0, 1, b'a'],
        ];
        let stream = packets.concat();
        for first_cut in 0..stream.len() {
            for second_cut in [first_cut, (first_cut + 3).min(stream.len()), stream.len()] {
                let (mut splitter, mut seen) = (Splitter::default(), Vec::new());
                for part in [
                    &stream[..first_cut],
                    &stream[first_cut..second_cut],
                    &stream[second_cut..],
                ] {
                    splitter.push(part, |packet| {
                        seen.push(packet.to_vec());
                        Ok(())
                    })?;
                }
                assert_eq!(seen, packets, "cut at {first_cut} and {second_cut}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_remaining_length_ends_within_four_bytes() {
        assert!(first_packet(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF]).is_err());
        assert!(first_packet(&[0x30, 0xFF, 0xFF, 0xFF]).is_ok());
    }

    #[test]
    fn a_body_is_what_the_remaining_length_counts() {
        assert_eq!(body(&[0x40, 2, 0, 1]), [0, 1]);
        assert_eq!(
            body(&[&[0x30, 0x80, 0x01][..], &[5; 128]].concat()),
            [5; 128]
        );
        assert!(body(&[0xD0, 0]).is_empty());
    }
}
