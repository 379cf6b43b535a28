//! Who may come, and what they may do: passwords, the ACL and tokens, for as long as the gateway runs and anew on each reload.
//! It knows no connection and no packet: `broker` and `http` ask it and answer, also by waiting with a refusal.
//!
//! Passwords are checked at most two at once, off the async threads; who waits for that is never timed out here. What
//! the files said when they were last free of faults stands until they are so again.

mod acl;
mod gate;
mod grants;
mod guest;
mod hash_file;
mod memory;
mod names;
mod password;
mod tokens;
mod users;
mod visitor;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

use crate::access::acl::Acl;
use crate::access::gate::Gate;
use crate::access::memory::Memory;
use crate::access::tokens::Tokens;
use crate::access::users::Users;
use crate::config::{AccessFiles, Anonymous, Fault};

pub use crate::access::grants::Grants;
pub use crate::access::guest::{Guest, Socket, Upgrade};
pub use crate::access::hash_file::HashFile;
pub use crate::access::names::OwnNames;
pub use crate::access::password::{PasswordError, hash};
pub use crate::access::tokens::{NewToken, Role};
pub use crate::access::users::{NameError, check_name};
pub use crate::access::visitor::{Unwelcome, Visitor};

/// How long the answer to a failed login waits at least, from the CONNECT on.
const FAILED_LOGIN_DELAY: Duration = Duration::from_secs(1);
/// The most that is added to it, by chance.
const FAILED_LOGIN_JITTER_MS: u64 = 250;

/// How long after its CONNECT a failed login is answered. Waiting is for who answers: never for an address, since whole
/// sites are behind one.
pub fn failed_login_delay() -> Duration {
    FAILED_LOGIN_DELAY + Duration::from_millis(fastrand::u64(..=FAILED_LOGIN_JITTER_MS))
}

/// Who may come and what they may do.
#[derive(Debug)]
pub struct Access {
    files: AccessFiles,
    anonymous: Anonymous,
    memory: Memory,
    gate: Gate,
    state: RwLock<Arc<State>>,
    generation: watch::Sender<u64>,
}

/// What the files said. Invariant: the generation is that of the last reload when this was read.
#[derive(Debug)]
struct State {
    generation: u64,
    /// `None`: there are no passwords.
    users: Option<Arc<Users>>,
    acl: Acl,
    /// `None`: there are no tokens.
    tokens: Option<Tokens>,
}

/// Who a client is. Only `access` makes one.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity(Proof);

#[derive(Clone, PartialEq, Eq)]
enum Proof {
    /// Nobody in particular.
    None,
    /// The password of `hash`, which stood in the file.
    Password { name: Arc<str>, hash: Arc<str> },
    /// A certificate, which TLS has verified.
    Certificate { name: Arc<str> },
    /// Whoever came by HTTP first.
    Visitor(Visitor),
}

/// Why a client may not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Name and password do not go together, or one of them is missing. The answer waits [`failed_login_delay`].
    Credentials,
    /// Without a password nobody may come from there.
    Anonymous,
}

impl Access {
    /// Reads the files, or says everything that is wrong with them.
    pub fn open(files: AccessFiles, anonymous: Anonymous) -> Result<Self, Vec<Fault>> {
        let memory = Memory::new();
        let state = State::read(&files, &memory, 0)?;
        Ok(Self {
            files,
            anonymous,
            memory,
            gate: Gate::default(),
            state: RwLock::new(Arc::new(state)),
            generation: watch::Sender::new(0),
        })
    }

    /// Reads the files anew. If one of them has a fault, both stay as they were, and every fault is said.
    pub fn reload(&self) -> Result<(), String> {
        let old = self.state();
        let generation = old.generation + 1;
        let mut new = State::read(&self.files, &self.memory, generation).map_err(|faults| {
            let lines: Vec<String> = faults.iter().map(Fault::to_string).collect();
            lines.join("\n")
        })?;
        if let (Some(new), Some(old)) = (&mut new.users, &old.users) {
            Arc::make_mut(new).remember_as(old);
        }
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        self.generation.send_replace(generation);
        Ok(())
    }

    /// How often the files were read anew. [`Grants`] of another generation have to be asked for again.
    pub fn generation(&self) -> u64 {
        *self.generation.borrow()
    }

    /// Says when the generation changes. Mark it as seen before the grants are asked for, not after.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Whether a client may come, and as whom. Takes as long as it takes: the queue is as long as there are callers, in
    /// their order. Whoever does not wait any longer leaves it.
    ///
    /// Without a users file names and passwords mean nothing, and nobody has a name. With one, a client that gives
    /// either has to give both and the right ones, wherever it comes from.
    pub async fn admit(
        &self,
        peer: IpAddr,
        name: Option<&str>,
        password: Option<&[u8]>,
    ) -> Result<Identity, Denied> {
        let users = self.state().users.clone();
        let claim = users.filter(|_| name.is_some() || password.is_some());
        let Some(users) = claim else {
            return self.admit_anonymous(peer);
        };
        let (Some(name), Some(password)) = (name, password) else {
            return Err(Denied::Credentials);
        };
        let hash = self.gate.verify(users, name, password).await;
        let hash = hash.ok_or(Denied::Credentials)?;
        let name = name.into();
        Ok(Identity(Proof::Password { name, hash }))
    }

    fn admit_anonymous(&self, peer: IpAddr) -> Result<Identity, Denied> {
        if self.anonymous.welcomes(peer) {
            Ok(Identity(Proof::None))
        } else {
            Err(Denied::Anonymous)
        }
    }

    /// What a client may do by the files as they are now; `None` if it may not stay: its user is gone, or has another
    /// password.
    pub fn grants(&self, who: &Identity, client_id: &str) -> Option<Grants> {
        let state = self.state();
        let may_stay = match &who.0 {
            Proof::Password { name, hash } => {
                let users = state.users.as_deref();
                users.and_then(|users| users.hash_of(name)) == Some(hash)
            }
            Proof::Visitor(visitor) => visitor.is_still_in(state.tokens.as_ref()),
            Proof::None | Proof::Certificate { .. } => true,
        };
        let rights = match &who.0 {
            Proof::Visitor(visitor) => visitor.rights(),
            _ => state.acl.for_client(who.name(), client_id),
        };
        may_stay.then_some(Grants {
            generation: state.generation,
            rights,
        })
    }

    /// What the ACL allows a client that is not here to show who it is.
    pub fn grants_by_name(&self, user: Option<&str>, client_id: &str) -> Grants {
        let state = self.state();
        Grants {
            generation: state.generation,
            rights: state.acl.for_client(user, client_id),
        }
    }

    fn state(&self) -> Arc<State> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&state)
    }
}

impl State {
    fn read(files: &AccessFiles, memory: &Memory, generation: u64) -> Result<Self, Vec<Fault>> {
        let users = files.users.as_deref();
        let users = users.map(|path| Users::load(path, memory)).transpose();
        let acl = files.acl.as_deref();
        let acl = acl.map_or_else(|| Ok(Acl::default()), Acl::load);
        let tokens = files.tokens.as_deref().map(Tokens::load).transpose();
        match (users, acl, tokens) {
            (Ok(users), Ok(acl), Ok(tokens)) => Ok(Self {
                generation,
                users: users.map(Arc::new),
                acl,
                tokens,
            }),
            (users, acl, tokens) => {
                let faults = [users.err(), acl.err(), tokens.err()];
                Err(faults.into_iter().flatten().flatten().collect())
            }
        }
    }
}

impl Identity {
    /// Who a verified client certificate names.
    pub fn of_certificate(common_name: &str) -> Self {
        Self(Proof::Certificate {
            name: common_name.into(),
        })
    }

    /// The user; `None` for who came without a password. A token's name is in no ACL, and its sessions are nobody else's.
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Proof::None => None,
            Proof::Visitor(visitor) => visitor.owner(),
            Proof::Password { name, .. } | Proof::Certificate { name } => Some(name),
        }
    }
}

/// Without the hash.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.name()).finish()
    }
}

#[cfg(test)]
mod tests;
