//! Who comes by HTTP: with a token, or without one from where nobody needs any. Over a WebSocket a visitor may go on as an
//! MQTT client.

use std::net::IpAddr;

use crate::access::grants::{Rights, Verdicts};
use crate::access::tokens::{Role, Token, Tokens};
use crate::access::{Access, Identity, Proof};
use crate::config::Anonymous;
use crate::domain::topic::TopicFilter;

/// All topics; those that begin with `$` are not in `#` (MQTT 5.0, section 4.7.2).
const ALL: [&str; 2] = ["#", "$SYS/#"];

/// Somebody who was let in. Only `access` makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    role: Role,
    token: Option<Token>,
}

/// Why a visitor may not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwelcome {
    /// There is no such token.
    Token,
    /// From there nobody may come without one.
    Anonymous,
}

impl Access {
    /// Whether somebody may come by HTTP, and as whom. Without a token file tokens mean nothing. With one, a token that is
    /// shown has to be right, wherever it is shown.
    pub fn welcome(
        &self,
        peer: IpAddr,
        anonymous: Anonymous,
        token: Option<&str>,
    ) -> Result<Visitor, Unwelcome> {
        let state = self.state();
        if let (Some(tokens), Some(token)) = (&state.tokens, token) {
            let token = tokens.find(token).ok_or(Unwelcome::Token)?;
            return Ok(Visitor {
                role: token.role,
                token: Some(token.clone()),
            });
        }
        if anonymous.welcomes(peer) {
            Ok(Visitor {
                role: Role::Admin,
                token: None,
            })
        } else {
            Err(Unwelcome::Anonymous)
        }
    }

    /// Whether there is a token file.
    pub fn has_tokens(&self) -> bool {
        self.state().tokens.is_some()
    }
}

impl Visitor {
    /// What the visitor may do.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The token's name; `None` for who came without one.
    pub fn name(&self) -> Option<&str> {
        self.token.as_ref().map(|token| &*token.name)
    }

    /// The visitor as an MQTT client.
    pub fn into_identity(self) -> Identity {
        Identity(Proof::Visitor(self))
    }

    pub(super) fn owner(&self) -> Option<&str> {
        self.token.as_ref().map(|token| &*token.owner)
    }

    pub(super) fn is_still_in(&self, tokens: Option<&Tokens>) -> bool {
        let token = self.token.as_ref();
        token.is_none_or(|token| tokens.is_some_and(|tokens| tokens.has(token)))
    }

    /// What it may do by MQTT; `None`: everything.
    pub(super) fn rights(&self) -> Option<Rights> {
        let everything = || Verdicts {
            allowed: ALL
                .iter()
                .filter_map(|all| TopicFilter::new(all).ok())
                .collect(),
            denied: Vec::new(),
        };
        (self.role == Role::Read).then(|| Rights {
            publish: Verdicts::default(),
            subscribe: everything(),
        })
    }
}
