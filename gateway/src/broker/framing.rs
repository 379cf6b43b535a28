//! The bits that the specification reserves, looked at before the protocol library reads a packet: it takes them as
//! they come. Pure: it counts its way from packet to packet and keeps none of them.

use super::protocol::Violation;

/// Where the bytes of a connection stand.
#[derive(Debug, Default)]
pub(super) enum Framing {
    #[default]
    BetweenPackets,
    Length {
        is_connect: bool,
        length: usize,
        shift: u32,
    },
    /// `at` counts the bytes of the body so far.
    Body {
        is_connect: bool,
        at: usize,
        length: usize,
        has_known_level: bool,
    },
}

/// Where the protocol level and the connect flags stand in the body of a CONNECT (MQTT 5.0, section 3.1.2).
const LEVEL_AT: usize = 6;
const CONNECT_FLAGS_AT: usize = 7;

impl Framing {
    /// Looks at the next bytes; gives how many come before a violation, and the violation.
    pub(super) fn check(&mut self, bytes: &[u8]) -> (usize, Result<(), Violation>) {
        let mut done = 0;
        while done < bytes.len() {
            match self.step(&bytes[done..]) {
                Ok(count) => done += count,
                Err(violation) => return (done, Err(violation)),
            }
        }
        (done, Ok(()))
    }

    /// Takes one byte of a head, or all there are of a body that is of no interest.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        let byte = bytes[0];
        match self {
            Self::BetweenPackets => {
                check_first_byte(byte)?;
                *self = Self::Length {
                    is_connect: byte >> 4 == 1,
                    length: 0,
                    shift: 0,
                };
                Ok(1)
            }
            Self::Length {
                is_connect,
                length,
                shift,
            } => {
                *length |= usize::from(byte & 0x7F) << *shift;
                *shift += 7;
                if byte & 0x80 != 0 {
                    let is_over = 21 < *shift;
                    return if is_over {
                        Err(Violation("the length has more than four bytes"))
                    } else {
                        Ok(1)
                    };
                }
                *self = match *length {
                    0 => Self::BetweenPackets,
                    length => Self::Body {
                        is_connect: *is_connect,
                        at: 0,
                        length,
                        has_known_level: false,
                    },
                };
                Ok(1)
            }
            Self::Body {
                is_connect,
                at,
                length,
                has_known_level,
            } => {
                let count = if *is_connect && *at <= CONNECT_FLAGS_AT {
                    match *at {
                        LEVEL_AT => *has_known_level = matches!(byte, 4 | 5),
                        CONNECT_FLAGS_AT if *has_known_level => check_connect_flags(byte)?,
                        _ => {}
                    }
                    1
                } else {
                    bytes.len().min(*length - *at)
                };
                *at += count;
                if *at == *length {
                    *self = Self::BetweenPackets;
                }
                Ok(count)
            }
        }
    }
}

/// MQTT 5.0, section 2.1.3. What only servers send, and PUBLISH, is for the library.
fn check_first_byte(byte: u8) -> Result<(), Violation> {
    let expected = match byte >> 4 {
        1 | 4 | 5 | 7 | 12 | 14 | 15 => 0,
        6 | 8 | 10 => 2,
        _ => return Ok(()),
    };
    if byte & 0x0F == expected {
        Ok(())
    } else {
        Err(Violation("reserved flags of the fixed header"))
    }
}

/// MQTT 5.0, section 3.1.2.3 and after: the reserved bit, and a will's QoS and retain without a will.
fn check_connect_flags(flags: u8) -> Result<(), Violation> {
    let (has_will, will_qos, will_retain) = (flags & 0x04 != 0, flags >> 3 & 3, flags & 0x20 != 0);
    if flags & 0x01 != 0 {
        return Err(Violation("the reserved flag of CONNECT"));
    }
    if will_qos == 3 || (!has_will && (will_qos != 0 || will_retain)) {
        return Err(Violation("the flags of the will"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(level: u8, flags: u8) -> Vec<u8> {
        let mut bytes = vec![0x10, 13, 0, 4];
        bytes.extend(b"MQTT");
        bytes.extend([level, flags, 0, 0, 0, 1, b'a']);
        bytes
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: Option<usize>) {
        let (count, outcome) = Framing::default().check(bytes);
        let found = outcome.is_err().then_some(count);
        assert_eq!(found, expected, "{bytes:02x?}");
        let mut one_by_one = Framing::default();
        let place = bytes
            .iter()
            .position(|byte| one_by_one.check(&[*byte]).1.is_err());
        assert_eq!(place, expected, "{bytes:02x?} byte by byte");
    }

    #[test]
    fn reserved_bits_of_the_fixed_header_have_their_values() {
        for first in [0x10, 0x40, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xC0, 0xE0, 0xF0] {
            check(&[first, 0], None);
            for bit in [0x01, 0x02, 0x04, 0x08] {
                check(&[0xC0, 0, first ^ bit, 0], Some(2));
            }
        }
        for flags in 0..16 {
            check(&[0x30 | flags, 0], None);
        }
    }

    #[test]
    fn connect_flags_agree_with_each_other() {
        for (flags, is_sound) in [
            (0x02, true),
            (0x00, true),
            (0xC2, true),
            (0x06, true),
            (0x36, true),
            (0x03, false),
            (0x0A, false),
            (0x22, false),
            (0x1E, false),
        ] {
            for level in [4, 5] {
                check(&connect(level, flags), (!is_sound).then_some(9));
            }
        }
        check(&connect(3, 0x03), None);
    }

    #[test]
    fn what_stands_in_a_body_is_no_header() {
        let mut bytes = connect(4, 2);
        bytes.extend([0x30, 0x83, 0x01]);
        bytes.extend([0xC1; 131]);
        check(&bytes, None);
        let length = bytes.len();
        bytes.extend([0xC1, 0]);
        check(&bytes, Some(length));
    }

    #[test]
    fn a_length_has_at_most_four_bytes() {
        check(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], None);
        check(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF], Some(4));
    }
}
