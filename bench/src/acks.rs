//! The acks that the generator reads back, however the stream cuts them.

use anyhow::{Result, bail};

const PUBACK: u8 = 0x40;
pub(crate) const ACK_BYTES: usize = 4;

/// Takes acks out of a stream of bytes, however the reads cut it.
#[derive(Default)]
pub(crate) struct AckParser {
    begun: [u8; ACK_BYTES],
    begun_bytes: usize,
}

impl AckParser {
    /// Calls `on_ack` with the packet id of each PUBACK that `bytes` completes.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        mut on_ack: impl FnMut(u16) -> Result<()>,
    ) -> Result<()> {
        for &byte in bytes {
            self.begun[self.begun_bytes] = byte;
            self.begun_bytes += 1;
            if self.begun_bytes == ACK_BYTES {
                self.begun_bytes = 0;
                let [kind, length, high, low] = self.begun;
                if (kind, length) != (PUBACK, 2) {
                    bail!(
                        "the server sent a packet that is no PUBACK: {:02x?} …",
                        self.begun
                    );
                }
                on_ack(u16::from_be_bytes([high, low]))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_are_read_whole_wherever_the_reads_cut_them() -> Result<()> {
        let stream = [0x40, 2, 0, 1, 0x40, 2, 0x12, 0x34, 0x40, 2, 0xFF, 0xFF];
        for first_cut in 0..stream.len() {
            for second_cut in first_cut..stream.len() {
                let (mut parser, mut seen) = (AckParser::default(), Vec::new());
                for part in [
                    &stream[..first_cut],
                    &stream[first_cut..second_cut],
                    &stream[second_cut..],
                ] {
                    parser.push(part, |packet_id| {
                        seen.push(packet_id);
                        Ok(())
                    })?;
                }
                assert_eq!(
                    seen,
                    [1, 0x1234, 0xFFFF],
                    "cut at {first_cut} and {second_cut}"
                );
            }
        }
        Ok(())
    }

    #[test]
    fn a_packet_that_is_no_puback_is_a_fault() {
        assert!(
            AckParser::default()
                .push(&[0xD0, 0, 0x40, 2], |_| Ok(()))
                .is_err()
        );
    }
}
