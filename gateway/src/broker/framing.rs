//! The bits that the specification reserves: the protocol library takes them as they come. Pure.

use super::violation::Violation;

/// Where the protocol level and the connect flags stand in the body of a CONNECT (MQTT 5.0, section 3.1.2).
const LEVEL_AT: usize = 6;
const CONNECT_FLAGS_AT: usize = 7;

/// The protocol level that a CONNECT asks for.
pub(super) fn level_of(connect: &[u8]) -> Option<u8> {
    connect.get(LEVEL_AT).copied()
}

/// The flags of a fixed header (MQTT 5.0, section 2.1.3).
pub(super) fn check_flags(packet_type: u8, flags: u8) -> Result<(), Violation> {
    let expected = match packet_type {
        // DUP, QoS and RETAIN: no publish of QoS 0 is sent again (section 3.3.1.1).
        3 if flags & 0b1110 == 0b1000 => return Err(Violation::malformed("DUP with QoS 0")),
        3 => return Ok(()),
        6 | 8 | 10 => 2,
        _ => 0,
    };
    if flags == expected {
        Ok(())
    } else {
        Err(Violation::malformed("reserved flags of the fixed header"))
    }
}

/// MQTT 5.0, section 3.1.2.3 and after: the reserved bit, and a will's QoS and retain without a will.
pub(super) fn check_connect_flags(connect: &[u8]) -> Result<(), Violation> {
    let Some(flags) = connect.get(CONNECT_FLAGS_AT) else {
        return Err(Violation::malformed("CONNECT is too short"));
    };
    let (has_will, will_qos, will_retain) = (flags & 0x04 != 0, flags >> 3 & 3, flags & 0x20 != 0);
    if flags & 0x01 != 0 {
        return Err(Violation::malformed("the reserved flag of CONNECT"));
    }
    if will_qos == 3 || (!has_will && (will_qos != 0 || will_retain)) {
        return Err(Violation::malformed("the flags of the will"));
    }
    Ok(())
}

/// The body of a CONNECT as if it said nothing of its password, if that has no user name before it.
pub(super) fn without_lone_password(connect: &[u8]) -> Option<Vec<u8>> {
    let flags = connect.get(CONNECT_FLAGS_AT)?;
    (flags & 0xC0 == 0x40).then(|| {
        let mut without = connect.to_vec();
        without[CONNECT_FLAGS_AT] ^= 0x40;
        without
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_bits_of_the_fixed_header_have_their_values() {
        for first in [
            0x10_u8, 0x40, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xC0, 0xE0, 0xF0,
        ] {
            assert!(check_flags(first >> 4, first & 0x0F).is_ok());
            for bit in [0x01, 0x02, 0x04, 0x08] {
                assert!(check_flags(first >> 4, (first ^ bit) & 0x0F).is_err());
            }
        }
        for flags in 0..16 {
            assert_eq!(check_flags(3, flags).is_ok(), !matches!(flags, 8 | 9));
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
            let connect = [0, 4, b'M', b'Q', b'T', b'T', 5, flags];
            assert_eq!(level_of(&connect), Some(5));
            assert_eq!(
                check_connect_flags(&connect).is_ok(),
                is_sound,
                "{flags:02x}"
            );
        }
        assert!(check_connect_flags(&[0, 4]).is_err());
    }
}
