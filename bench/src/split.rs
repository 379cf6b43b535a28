//! Packets out of a stream of bytes, however the reads cut it. It tells where each ends and not what it says.

use anyhow::{Result, ensure};

/// Keeps the packet that a read has cut until the rest of it comes.
#[derive(Default)]
pub(crate) struct Splitter {
    begun: Vec<u8>,
}

impl Splitter {
    /// Calls `on_packet` with each packet that `bytes` completes.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        mut on_packet: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        if self.begun.is_empty() {
            let rest = each_packet(bytes, on_packet)?;
            self.begun.extend_from_slice(rest);
            return Ok(());
        }
        self.begun.extend_from_slice(bytes);
        let rest = each_packet(&self.begun, &mut on_packet)?.len();
        self.begun.drain(..self.begun.len() - rest);
        Ok(())
    }
}

/// Calls `on_packet` with each whole packet, and gives what is left behind them.
fn each_packet(mut bytes: &[u8], mut on_packet: impl FnMut(&[u8]) -> Result<()>) -> Result<&[u8]> {
    while let Some((packet, rest)) = first_packet(bytes)? {
        on_packet(packet)?;
        bytes = rest;
    }
    Ok(bytes)
}

/// The first packet and what is behind it; `None` while it is not whole.
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

#[cfg(test)]
mod tests {
    use super::*;

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
