//! What a password that was right looked like, so that a fleet that comes back does not pay argon2id again. It is a keyed
//! hash under a key that was made at the start and is never stored; there is at most one for each user.

use ring::hmac::{self, HMAC_SHA256, Key};
use ring::rand::SystemRandom;

/// Makes and recognises marks. Clones share the key.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    /// `None` where the system has no random numbers: nothing is recognised then.
    key: Option<Key>,
}

/// Of a name, its stored hash and the password that was right.
pub(super) type Mark = hmac::Tag;

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            key: Key::generate(HMAC_SHA256, &SystemRandom::new()).ok(),
        }
    }

    pub(super) fn mark(&self, name: &str, hash: &str, password: &[u8]) -> Option<Mark> {
        let key = self.key.as_ref()?;
        Some(hmac::sign(key, &message(name, hash, password)))
    }

    /// Compares in constant time.
    pub(super) fn recognises(&self, mark: &Mark, name: &str, hash: &str, password: &[u8]) -> bool {
        self.key.as_ref().is_some_and(|key| {
            hmac::verify(key, &message(name, hash, password), mark.as_ref()).is_ok()
        })
    }

    /// A number below `bound` that is always the same for `name`, and that nobody outside can tell.
    pub(super) fn pick(&self, name: &str, bound: usize) -> usize {
        let mark = self.mark(name, "", b"");
        let bytes = mark.as_ref().and_then(|mark| mark.as_ref().first_chunk());
        let number = u64::from_le_bytes(*bytes.unwrap_or(&[0; 8]));
        (number % bound.max(1) as u64) as usize
    }
}

/// The parts with their lengths, so that no two triples give the same.
fn message(name: &str, hash: &str, password: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(16 + name.len() + hash.len() + password.len());
    for part in [name, hash] {
        message.extend((part.len() as u64).to_le_bytes());
        message.extend(part.as_bytes());
    }
    message.extend(password);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_of_one_name_hash_password_and_process() {
        let memory = Memory::new();
        let mark = memory.mark("ann", "h", b"secret").unwrap();
        let check = |memory: &Memory, name: &str, hash: &str, password: &[u8], expected: bool| {
            let recognised = memory.recognises(&mark, name, hash, password);
            assert_eq!(recognised, expected, "{name} {hash} {password:?}");
        };
        check(&memory, "ann", "h", b"secret", true);
        check(&memory, "ann", "h", b"Secret", false);
        check(&memory, "bob", "h", b"secret", false);
        check(&memory, "ann", "hs", b"ecret", false);
        check(&memory, "annh", "", b"secret", false);
        check(&Memory::new(), "ann", "h", b"secret", false);
    }

    #[test]
    fn a_name_always_picks_the_same() {
        let memory = Memory::new();
        let picked: Vec<usize> = (0..100).map(|n| memory.pick(&n.to_string(), 7)).collect();
        assert!(picked.iter().all(|number| *number < 7));
        assert!((0..7).all(|number| picked.contains(&number)));
        assert_eq!(memory.pick("3", 7), picked[3]);
        assert_eq!(memory.pick("3", 0), 0);
    }
}
