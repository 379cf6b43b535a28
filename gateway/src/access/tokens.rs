//! Tokens of the API: lines `name:role:hash`, blank lines and comments. A token is 256 random bits, so a plain SHA-256 of it
//! can be kept: there is nothing to guess, and each request may be asked for its token.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;

use crate::access::users::{check_name, entry};
use crate::config::Fault;
use crate::domain::place::Place;

/// What a token begins with, so that one that lies around is known for what it is.
const PREFIX: &str = "egt_";
const TOKEN_BYTES: usize = 32;
const HASH_BYTES: usize = 32;

type Hash = [u8; HASH_BYTES];

/// What who comes by HTTP may do. Each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at everything.
    Read,
    /// Bring readings and statuses, and acknowledge alerts.
    Write,
    /// Change rules, retry and drop, and whatever else there is.
    Admin,
}

impl Role {
    /// As the token file and the command line have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Read, Self::Write, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or("expected read, write or admin")
    }
}

/// A token that was just made, the only time that it can be seen.
#[derive(Clone)]
pub struct NewToken {
    /// For who is to use it.
    pub text: String,
    /// What stands behind its name in the file.
    pub entry: String,
}

impl NewToken {
    /// Makes one. An error if the system has no random numbers.
    pub fn make(role: Role) -> Result<Self, ring::error::Unspecified> {
        let mut bytes = [0; TOKEN_BYTES];
        SystemRandom::new().fill(&mut bytes)?;
        let text = PREFIX.to_owned() + &in_hex(&bytes);
        let (role, hash) = (role.as_str(), in_hex(&hash_of(&text)));
        let entry = format!("{role}:{hash}");
        Ok(Self { text, entry })
    }
}

/// The tokens of the file.
#[derive(Debug)]
pub(super) struct Tokens {
    by_hash: HashMap<Hash, Token>,
}

/// What is known of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) name: Arc<str>,
    /// Whose MQTT sessions its bearer has; no user can have this name.
    pub(super) owner: Arc<str>,
    pub(super) role: Role,
    hash: Hash,
}

impl Tokens {
    /// Reads the file at `path`, or says everything that is wrong with it.
    pub(super) fn load(path: &Path) -> Result<Self, Vec<Fault>> {
        let text = fs::read_to_string(path).map_err(|error| {
            let mut fault = Fault::unreadable(path, "http.token_file", &error);
            fault.message += "; `edge-gateway token add NAME` makes it";
            vec![fault]
        })?;
        Self::parse(&text, &path.display().to_string().into())
    }

    fn parse(text: &str, path: &Arc<str>) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut lines_of = HashMap::new();
        let mut by_hash: HashMap<Hash, Token> = HashMap::new();
        let entries = text.lines().enumerate();
        for (index, (name, rest)) in entries.filter_map(|(at, line)| Some((at, entry(line)?))) {
            let line = index + 1;
            let token = match lines_of.insert(name, line) {
                Some(first) => Err(format!("the token {name:?} stands in line {first} already")),
                None => read(name, rest),
            };
            let token = token.and_then(|token| match by_hash.get(&token.hash) {
                Some(Token { name, .. }) => Err(format!("this is the token of {name:?} as well")),
                None => Ok(token),
            });
            match token {
                Ok(token) => drop(by_hash.insert(token.hash, token)),
                Err(message) => {
                    let path = Arc::clone(path);
                    faults.push(Fault::new(Place::File { path, line }, "", message));
                }
            }
        }
        if faults.is_empty() {
            Ok(Self { by_hash })
        } else {
            Err(faults)
        }
    }

    /// Whose token this is.
    pub(super) fn find(&self, token: &str) -> Option<&Token> {
        self.by_hash.get(&hash_of(token))
    }

    /// Whether a token is still as it was.
    pub(super) fn has(&self, token: &Token) -> bool {
        self.by_hash.get(&token.hash) == Some(token)
    }
}

fn read(name: &str, rest: Option<&str>) -> Result<Token, String> {
    check_name(name).map_err(|error| format!("{name:?} cannot be a token's name: {error}"))?;
    let (role, hash) = rest
        .and_then(|rest| rest.split_once(':'))
        .ok_or("expected name:role:hash; `edge-gateway token add NAME` writes such lines")?;
    Ok(Token {
        name: name.into(),
        owner: format!("token:{name}").into(),
        role: role.parse()?,
        hash: from_hex(hash).ok_or("the hash is no SHA-256 in 64 hexadecimal digits")?,
    })
}

fn hash_of(token: &str) -> Hash {
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

fn in_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text never fails.
        write!(text, "{byte:02x}").ok();
        text
    })
}

fn from_hex(text: &str) -> Option<Hash> {
    let mut hash = [0; HASH_BYTES];
    let is_hex = text.len() == 2 * HASH_BYTES && text.bytes().all(|b| b.is_ascii_hexdigit());
    for (at, byte) in hash.iter_mut().enumerate().filter(|_| is_hex) {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    is_hex.then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Tokens, Vec<String>> {
        Tokens::parse(text, &"tokens".into())
            .map_err(|faults| faults.iter().map(Fault::to_string).collect())
    }

    #[test]
    fn a_token_is_known_by_its_hash_alone() {
        let (one, other) = (
            NewToken::make(Role::Read).unwrap(),
            NewToken::make(Role::Admin).unwrap(),
        );
        assert_ne!(one.text, other.text);
        let file = format!("# who\n\nscreen:{}\nops: {}\n", one.entry, other.entry);
        assert!(!file.contains(&one.text[PREFIX.len()..]));
        let tokens = parse(&file).unwrap();
        let found = |text: &str| tokens.find(text).map(|token| (&*token.name, token.role));
        assert_eq!(found(&one.text), Some(("screen", Role::Read)));
        assert_eq!(found(&other.text), Some(("ops", Role::Admin)));
        assert_eq!(found(""), None);
        assert_eq!(found(&one.entry), None, "the hash opens nothing");
        let token = tokens.find(&one.text).unwrap();
        assert!(tokens.has(token));
        let demoted = file.replace("ops: admin", "ops: write");
        assert!(parse(&demoted).unwrap().has(token));
        let raised = file.replace("screen:read", "screen:admin");
        assert!(!parse(&raised).unwrap().has(token));
    }

    #[test]
    fn every_fault_of_the_file_is_told() {
        let hash = "ab".repeat(32);
        let file = format!(
            "a:read:{hash}\nb\nc:owner:{hash}\nd:read:xyz\na:read:{hash}\n e:read:{hash}\nf:read\ng:admin:{hash}\n"
        );
        let faults = parse(&file).unwrap_err();
        let expected = [
            "tokens:2: expected name:role:hash",
            "tokens:3: expected read, write or admin",
            "tokens:4: the hash is no SHA-256",
            "tokens:5: the token \"a\" stands in line 1 already",
            "tokens:6: \" e\" cannot be a token's name",
            "tokens:7: expected name:role:hash",
            "tokens:8: this is the token of \"a\" as well",
        ];
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, expected) in faults.iter().zip(expected) {
            assert!(fault.starts_with(expected), "{fault}");
        }
    }
}
