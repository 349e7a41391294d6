//! Who acts.

use std::sync::Arc;

use bytes::Bytes;

use crate::{Text, Timestamp};

/// How a principal proved who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Not at all; loopback only.
    Anonymous,
    /// A password.
    Password(Seal),
    /// A client certificate.
    Certificate,
    /// A signed token, which may say more than a name.
    Token(Arc<Token>),
}

/// Stands for what a password was checked against, so that a change of that is seen. It says nothing of either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal(pub u64);

/// What a token says besides a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// When a connection ends that it was shown for; `None`: not because of it.
    pub ends: Option<Timestamp>,
    /// The only name that the client may give itself.
    pub client: Option<Text>,
    /// What its user may do, in the form in which that is kept for users.
    pub grants: Option<Bytes>,
}

/// Who acts on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// What the client calls itself; proves nothing.
    pub client: Text,
    /// Its name; `anonymous` without proof.
    pub name: Text,
    /// How it proved who it is.
    pub proof: Proof,
}

/// The name of a client that proved nothing.
const ANONYMOUS: &str = "anonymous";

impl Principal {
    /// The principal of a client that proved nothing.
    pub fn anonymous() -> Self {
        Self {
            client: Text::new(),
            name: Text::from_static(ANONYMOUS),
            proof: Proof::Anonymous,
        }
    }

    /// Whether it has no name but that of all who proved nothing.
    pub fn is_anonymous(&self) -> bool {
        self.name == ANONYMOUS
    }

    /// The token that proved it, if one did.
    pub fn token(&self) -> Option<&Token> {
        match &self.proof {
            Proof::Token(token) => Some(token),
            Proof::Anonymous | Proof::Password(_) | Proof::Certificate => None,
        }
    }
}
