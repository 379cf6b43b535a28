//! The name in a client's certificate: the common name of its subject (RFC 5280, section 4.1.2.6).

use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0C;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The common name of a certificate that TLS has verified; `None` if it has none, more than one or an unusable one.
pub(super) fn of_certificate(certificate: &CertificateDer<'_>) -> Option<Arc<str>> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    of_subject(certificate.subject())
}

/// `subject` is a list of sets of (type, value), in DER. Who has two names has none: neither is to be guessed.
fn of_subject(mut subject: &[u8]) -> Option<Arc<str>> {
    let mut found = None;
    while !subject.is_empty() {
        let mut set = take(&mut subject, SET)?;
        while !set.is_empty() {
            let mut attribute = take(&mut set, SEQUENCE)?;
            if take(&mut attribute, OBJECT_IDENTIFIER)? != COMMON_NAME {
                continue;
            }
            let name = text(attribute)?;
            if found.replace(name).is_some() {
                return None;
            }
        }
    }
    found.map(Arc::from)
}

fn text(value: &[u8]) -> Option<&str> {
    let (&tag, _) = value.split_first()?;
    if !matches!(tag, UTF8_STRING | PRINTABLE_STRING | IA5_STRING) {
        return None;
    }
    let mut rest = value;
    let text = std::str::from_utf8(take(&mut rest, tag)?).ok()?;
    let is_usable = rest.is_empty() && !text.is_empty() && !text.contains(char::is_control);
    is_usable.then_some(text)
}

/// Takes one element with this tag off the front of `der`; gives its contents.
fn take<'d>(der: &mut &'d [u8], tag: u8) -> Option<&'d [u8]> {
    let (&found, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if 0x80 <= first {
        let (digits, behind) = rest.split_at_checked(length & 0x7F)?;
        if digits.is_empty() || 2 < digits.len() {
            return None;
        }
        length = digits
            .iter()
            .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
        rest = behind;
    }
    let (contents, behind) = rest.split_at_checked(length)?;
    *der = behind;
    (found == tag).then_some(contents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair};

    fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
        let length = u8::try_from(contents.len()).unwrap();
        [&[tag, length], contents].concat()
    }

    fn named(tag: u8, name: &[u8]) -> Vec<u8> {
        let identifier = element(OBJECT_IDENTIFIER, COMMON_NAME);
        let attribute = [identifier, element(tag, name)].concat();
        element(SET, &element(SEQUENCE, &attribute))
    }

    fn check(subject: &[u8], expected: Option<&str>) {
        assert_eq!(of_subject(subject).as_deref(), expected, "{subject:x?}");
    }

    #[test]
    fn the_common_name_is_found_or_nothing_is() {
        check(&named(UTF8_STRING, "传感".as_bytes()), Some("传感"));
        check(&named(PRINTABLE_STRING, b"s 1"), Some("s 1"));
        check(&named(IA5_STRING, b"s@1"), Some("s@1"));
        check(&[], None);
        check(&named(UTF8_STRING, b""), None);
        check(&named(UTF8_STRING, b"a\0b"), None);
        check(&named(UTF8_STRING, b"\xFF"), None);
        check(&named(0x1E, b"\0a"), None);
        let two = [named(UTF8_STRING, b"a"), named(UTF8_STRING, b"b")].concat();
        check(&two, None);
    }

    #[test]
    fn a_subject_that_is_cut_off_or_mutated_has_no_name_and_does_no_harm() {
        let subject = named(UTF8_STRING, b"ann");
        for end in 0..subject.len() {
            check(&subject[..end], None);
        }
        for (place, value) in (0..subject.len()).flat_map(|at| (0..=255).map(move |to| (at, to))) {
            let mut subject = subject.clone();
            subject[place] = value;
            of_subject(&subject);
        }
    }

    #[test]
    fn a_whole_certificate_is_read() {
        let mut parameters = CertificateParams::default();
        let name = "n".repeat(300);
        let subject = &mut parameters.distinguished_name;
        subject.remove(DnType::CommonName);
        subject.push(DnType::OrganizationName, "works");
        subject.push(DnType::CommonName, DnValue::Utf8String(name.clone()));
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let found = of_certificate(certificate.der());
        assert_eq!(found.as_deref(), Some(name.as_str()));
    }
}
