//! Argon2id: what is stored of a password, what it costs to try one, and what a users file may ask for.

use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, PasswordHasher, Version};
use ring::rand::{SecureRandom, SystemRandom};

/// 7 MiB and five passes: OWASP's choice for machines with little memory.
const MEMORY_KIB: u32 = 7 * 1024;
const PASSES: u32 = 5;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;

/// The most that a hash made elsewhere may cost: a users file must not exhaust the machine.
const MAX_MEMORY_KIB: u32 = 19 * 1024;
const MAX_PASSES: u32 = 10;
const MAX_LANES: u32 = 4;

/// What is tried for a name that nobody has, if there are no users: it costs as much as a real one.
pub(super) const STAND_IN: &str = "$argon2id$v=19$m=7168,t=5,p=1$c3RhbmQtaW4tc2FsdC4uLg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a password cannot be hashed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("the password is empty")]
    Empty,
    #[error("the system has no random numbers for a salt")]
    Random,
    #[error("argon2: {0}")]
    Argon2(String),
}

/// What a users file keeps of `password`, with a salt of its own.
pub fn hash(password: &[u8]) -> Result<String, PasswordError> {
    if password.is_empty() {
        return Err(PasswordError::Empty);
    }
    let mut salt = [0; SALT_BYTES];
    let filled = SystemRandom::new().fill(&mut salt);
    filled.map_err(|_| PasswordError::Random)?;
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| PasswordError::Argon2(error.to_string()))?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(password, &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| PasswordError::Argon2(error.to_string()))
}

/// The memory that argon2id fills. Used again and again, since an allocator may keep for each thread what is given back.
#[derive(Default)]
pub(super) struct Scratch(Vec<Block>);

/// Whether `password` is that of `hash`. Costs what the hash says.
pub(super) fn verify(hash: &str, password: &[u8], scratch: &mut Scratch) -> bool {
    let Ok(parsed) = PasswordHash::new(hash) else {
        return false;
    };
    let (Some(params), Some(salt), Some(expected)) =
        (known_params(&parsed), parsed.salt, parsed.hash)
    else {
        return false;
    };
    scratch.0.resize(params.block_count(), Block::default());
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut found = vec![0; expected.len()];
    let filled =
        argon2.hash_password_into_with_memory(password, &salt, &mut found, &mut scratch.0[..]);
    // This comparison takes the same time wherever the two differ.
    filled.is_ok() && Output::new(&found).is_ok_and(|found| found == expected)
}

/// Refuses what is not argon2id, or costs more than the gateway can pay. The message does not repeat the hash.
pub(super) fn check_hash(text: &str) -> Result<(), String> {
    let expected = "expected `name:` and an argon2id hash ($argon2id$v=19$m=…,t=…,p=…$salt$hash)";
    let parsed = PasswordHash::new(text).ok();
    let whole = parsed.filter(|hash| hash.salt.is_some() && hash.hash.is_some());
    let Some(hash) = whole else {
        return Err(format!("{expected}, found something else"));
    };
    if hash.algorithm != ARGON2ID_IDENT {
        return Err(format!("{expected}, found {}", hash.algorithm));
    }
    let Some(params) = known_params(&hash) else {
        return Err(format!("{expected}, found other parameters"));
    };
    let costs = [
        ("m", params.m_cost(), MAX_MEMORY_KIB),
        ("t", params.t_cost(), MAX_PASSES),
        ("p", params.p_cost(), MAX_LANES),
    ];
    match costs.iter().find(|(_, cost, most)| most < cost) {
        Some((name, cost, most)) => Err(format!(
            "expected a hash with {name} of at most {most}, found {name}={cost}, which costs too much"
        )),
        None => Ok(()),
    }
}

fn known_params(hash: &PasswordHash) -> Option<Params> {
    let version = hash.version.map(Version::try_from).transpose().ok()?;
    let params = Params::try_from(hash).ok()?;
    (version == Some(Version::V0x13)).then_some(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_verifies_its_password_only_and_says_what_it_costs() {
        let hashed = hash(b"secret").unwrap();
        assert!(
            hashed.starts_with("$argon2id$v=19$m=7168,t=5,p=1$"),
            "{hashed}"
        );
        assert_eq!(check_hash(&hashed), Ok(()));
        let mut scratch = Scratch::default();
        assert!(verify(&hashed, b"secret", &mut scratch));
        assert!(!verify(&hashed, b"Secret", &mut scratch));
        assert!(verify(&hashed, b"secret", &mut scratch));
        assert!(!verify("", b"secret", &mut scratch));
        assert_ne!(hashed, hash(b"secret").unwrap());
        assert!(matches!(hash(b""), Err(PasswordError::Empty)));
    }

    /// Made by the reference implementation: `echo -n password | argon2 somesalt -id -t 2 -k 256 -p 2`.
    #[test]
    fn a_hash_made_elsewhere_verifies() {
        let elsewhere =
            "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc";
        assert_eq!(check_hash(elsewhere), Ok(()));
        let mut scratch = Scratch::default();
        assert!(verify(elsewhere, b"password", &mut scratch));
        assert!(!verify(elsewhere, b"Password", &mut scratch));
    }

    #[test]
    fn the_stand_in_costs_what_a_hash_of_ours_costs() {
        let params = |hash: &str| PasswordHash::new(hash).unwrap().params.to_string();
        assert_eq!(check_hash(STAND_IN), Ok(()));
        assert_eq!(params(STAND_IN), params(&hash(b"x").unwrap()));
    }

    #[test]
    fn what_is_no_argon2id_hash_or_costs_too_much_is_refused() {
        let rest = "c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let check = |start: &str, expected: &str| {
            let message = check_hash(&format!("{start}${rest}")).unwrap_err();
            assert!(message.contains(expected), "{start}: {message}");
            assert!(!message.contains("AAAA"), "{message}");
        };
        assert_eq!(
            check_hash(&format!("$argon2id$v=19$m=19456,t=2,p=1${rest}")),
            Ok(())
        );
        check("$argon2i$v=19$m=4096,t=3,p=1", "found argon2i");
        check("$argon2id$v=16$m=4096,t=3,p=1", "found other parameters");
        check("$argon2id$m=4096,t=3,p=1", "found other parameters");
        check(
            "$argon2id$v=19$m=65536,t=3,p=4",
            "m of at most 19456, found m=65536",
        );
        check("$argon2id$v=19$m=4096,t=300,p=1", "found t=300");
        check("$argon2id$v=19$m=4096,t=3,p=64", "found p=64");
        check("$argon2id$v=19$m=4096,t=0,p=1", "found other parameters");
        check("$7$101", "found something else");
        for text in ["", "secret", "$argon2id$v=19$m=4096,t=3,p=1"] {
            assert!(check_hash(text).is_err(), "{text:?}");
        }
    }
}
