//! The users file as it was read: lines `name:argon2id-hash`, blank lines and comments. Whoever asks cannot tell from
//! the time that it takes whether a name is in it.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::access::memory::{Mark, Memory};
use crate::access::password::{STAND_IN, Scratch, check_hash, verify};
use crate::config::Fault;
use crate::domain::place::Place;

const MAX_NAME_BYTES: usize = 64;

/// Why a text is no user's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("it is empty")]
    Empty,
    #[error("it is longer than {MAX_NAME_BYTES} bytes")]
    TooLong,
    #[error("it contains `:` or a control character")]
    Character,
    #[error("it begins with `#`, or begins or ends with a space")]
    Edge,
}

/// Refuses a name that a line of the users file could not hold.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        Err(NameError::Empty)
    } else if MAX_NAME_BYTES < name.len() {
        Err(NameError::TooLong)
    } else if name.contains(|c: char| c == ':' || c.is_control()) {
        Err(NameError::Character)
    } else if name.starts_with('#') || name.trim() != name {
        Err(NameError::Edge)
    } else {
        Ok(())
    }
}

/// What stands before the `:` of a line that is neither blank nor a comment; `None` if it is one of those.
pub(super) fn entry(line: &str) -> Option<(&str, Option<&str>)> {
    if line.trim().is_empty() || line.trim_start().starts_with('#') {
        return None;
    }
    Some(match line.split_once(':') {
        Some((name, hash)) => (name, Some(hash.trim())),
        None => (line, None),
    })
}

/// All users, sorted by name.
#[derive(Clone, Debug)]
pub(super) struct Users {
    list: Vec<User>,
    memory: Memory,
}

#[derive(Clone)]
struct User {
    name: Box<str>,
    hash: Arc<str>,
    /// Of the password, once it was right.
    mark: OnceLock<Mark>,
}

impl Users {
    /// Reads the file at `path`, or says everything that is wrong with it.
    pub(super) fn load(path: &Path, memory: &Memory) -> Result<Self, Vec<Fault>> {
        let text = fs::read_to_string(path).map_err(|error| {
            let mut fault = Fault::unreadable(path, "mqtt.users_file", &error);
            fault.message += "; `edge-gateway user add NAME` makes it";
            vec![fault]
        })?;
        Self::parse(&text, &path.display().to_string().into(), memory)
    }

    fn parse(text: &str, path: &Arc<str>, memory: &Memory) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut lines_of = HashMap::new();
        let mut list = Vec::new();
        let entries = text.lines().enumerate();
        for (index, (name, hash)) in entries.filter_map(|(at, line)| Some((at, entry(line)?))) {
            let line = index + 1;
            match check_entry(name, hash, lines_of.get(name)) {
                Ok(hash) => list.push(User {
                    name: name.into(),
                    hash: hash.into(),
                    mark: OnceLock::new(),
                }),
                Err(message) => {
                    let path = Arc::clone(path);
                    faults.push(Fault::new(Place::File { path, line }, "", message));
                }
            }
            lines_of.entry(name).or_insert(line);
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        list.sort_by(|one: &User, other| one.name.cmp(&other.name));
        Ok(Self {
            list,
            memory: memory.clone(),
        })
    }

    /// Takes over what is known of the passwords of those who have not changed.
    pub(super) fn remember_as(&mut self, old: &Self) {
        for user in &mut self.list {
            let same = old.find(&user.name).filter(|old| old.hash == user.hash);
            if let Some(old) = same {
                user.mark = old.mark.clone();
            }
        }
    }

    /// The stored hash of `name`.
    pub(super) fn hash_of(&self, name: &str) -> Option<&Arc<str>> {
        self.find(name).map(|user| &user.hash)
    }

    /// Without the cost of [`Users::verify`]: the stored hash if the password has been right before.
    pub(super) fn recall(&self, name: &str, password: &[u8]) -> Option<Arc<str>> {
        let user = self.find(name)?;
        let mark = user.mark.get()?;
        let known = self.memory.recognises(mark, name, &user.hash, password);
        known.then(|| Arc::clone(&user.hash))
    }

    /// The stored hash if the password is right. For a name that nobody has the password is tried on another's hash,
    /// always the same for that name, and in vain: it takes as long.
    pub(super) fn verify(
        &self,
        name: &str,
        password: &[u8],
        scratch: &mut Scratch,
    ) -> Option<Arc<str>> {
        let Some(user) = self.find(name) else {
            let pick = self.memory.pick(name, self.list.len());
            let hash = self.list.get(pick).map_or(STAND_IN, |user| &user.hash);
            std::hint::black_box(verify(hash, password, scratch));
            return None;
        };
        if !verify(&user.hash, password, scratch) {
            return None;
        }
        if let Some(mark) = self.memory.mark(name, &user.hash, password) {
            user.mark.get_or_init(|| mark);
        }
        Some(Arc::clone(&user.hash))
    }

    fn find(&self, name: &str) -> Option<&User> {
        let found = self.list.binary_search_by(|user| (*user.name).cmp(name));
        found.ok().map(|at| &self.list[at])
    }
}

/// Without hash and mark.
impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("User").field(&self.name).finish()
    }
}

/// The hash of a sound line.
fn check_entry<'l>(
    name: &str,
    hash: Option<&'l str>,
    earlier: Option<&usize>,
) -> Result<&'l str, String> {
    check_name(name).map_err(|error| format!("{name:?} cannot be a user's name: {error}"))?;
    if let Some(line) = earlier {
        return Err(format!(
            "{name:?} stands in line {line} already: remove one of them"
        ));
    }
    let hash = hash.unwrap_or_default();
    check_hash(hash)
        .map_err(|message| format!("{message}: `edge-gateway user add {name}` makes a new one"))?;
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::password::hash;

    fn parse(text: &str, memory: &Memory) -> Result<Users, Vec<Fault>> {
        Users::parse(text, &"users".into(), memory)
    }

    #[test]
    fn a_password_that_was_right_is_recalled_until_the_hash_changes() {
        let (memory, scratch) = (Memory::new(), &mut Scratch::default());
        let (ann, bob) = (hash(b"a").unwrap(), hash(b"b").unwrap());
        let text = format!("# people\nbob:{bob}\n\n  # machines\nann:{ann}\r\n");
        let users = parse(&text, &memory).unwrap();
        assert_eq!(users.recall("ann", b"a"), None);
        assert_eq!(users.verify("ann", b"b", scratch), None);
        assert_eq!(users.recall("ann", b"b"), None);
        assert_eq!(users.verify("eve", b"a", scratch), None);
        assert_eq!(users.verify("ann", b"a", scratch).as_deref(), Some(&*ann));
        assert_eq!(users.verify("bob", b"b", scratch).as_deref(), Some(&*bob));
        assert_eq!(users.recall("ann", b"a").as_deref(), Some(&*ann));
        assert_eq!(users.recall("ann", b"b"), None);
        assert_eq!(users.recall("bob", b"a"), None);

        let mut changed = parse(&format!("ann:{ann}\nbob:{ann}"), &memory).unwrap();
        assert_eq!(changed.recall("ann", b"a"), None);
        changed.remember_as(&users);
        assert_eq!(changed.recall("ann", b"a").as_deref(), Some(&*ann));
        assert_eq!(changed.recall("bob", b"b"), None);
        assert!(!format!("{users:?}").contains("argon2"), "{users:?}");
    }

    #[test]
    fn a_name_that_nobody_has_is_refused_also_where_there_is_nobody() {
        let users = parse("# none yet\n", &Memory::new()).unwrap();
        let scratch = &mut Scratch::default();
        assert_eq!(users.verify("ann", b"a", scratch), None);
        assert_eq!(users.hash_of("ann"), None);
    }

    #[test]
    fn every_fault_is_reported_with_its_line() {
        let sound = STAND_IN;
        let text = format!(
            "ann:{sound}\nbob\n# c\n:{sound}\n ann:{sound}\nann:{sound}\ncid:secret\neve:{sound}x$\nbob:{sound}"
        );
        let faults = parse(&text, &Memory::new()).unwrap_err();
        let found: Vec<String> = faults.iter().map(Fault::to_string).collect();
        let expected = [
            ("users:2: ", "`edge-gateway user add bob`"),
            ("users:4: ", "it is empty"),
            ("users:5: ", "begins or ends with a space"),
            ("users:6: ", "stands in line 1 already"),
            ("users:7: ", "found something else"),
            ("users:8: ", "found something else"),
            ("users:9: ", "stands in line 2 already"),
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (line, (start, part)) in found.iter().zip(expected) {
            assert!(line.starts_with(start) && line.contains(part), "{line}");
            assert!(!line.contains("secret") && !line.contains(sound), "{line}");
        }
    }

    #[test]
    fn names_are_what_a_line_can_hold() {
        assert_eq!(check_name("ann"), Ok(()));
        assert_eq!(check_name("传感器 1/a+#"), Ok(()));
        assert_eq!(check_name(&"x".repeat(64)), Ok(()));
        assert_eq!(check_name(&"x".repeat(65)), Err(NameError::TooLong));
        assert_eq!(check_name(""), Err(NameError::Empty));
        assert_eq!(check_name("a:b"), Err(NameError::Character));
        assert_eq!(check_name("a\nb"), Err(NameError::Character));
        assert_eq!(check_name("a\u{85}"), Err(NameError::Character));
        assert_eq!(check_name("#a"), Err(NameError::Edge));
        assert_eq!(check_name(" a"), Err(NameError::Edge));
        assert_eq!(check_name("a "), Err(NameError::Edge));
    }
}
