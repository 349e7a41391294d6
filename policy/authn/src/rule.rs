//! The rule: which logins are offered, and who may enter without one.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use fairlead_canon::{Principal, Proof, Seal, Text};
use fairlead_ports::{
    Action, BoxFuture, ConnInfo, Denied, Directory, Entropy, Login, Policy, Step, Verdict,
};

use crate::external::{self, External};
use crate::keys::{Sha256Digest, hmac};
use crate::patience::Patience;
use crate::plain::{self, Plain};
use crate::scram::{self, Scram};
use crate::user::User;
use crate::verifier::Verifier;

/// The name space of the directory in which users are kept, one document under each name.
pub const NAMESPACE: &str = "users";

const ANONYMOUS: &str = "ANONYMOUS";

/// Whether clients without proof may enter at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anonymous {
    /// Never.
    Never,
    /// While no user exists, where both ends are loopback addresses.
    #[default]
    Loopback,
}

/// Checks logins, and keeps those out who have none.
#[derive(Debug)]
pub struct Authn {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    anonymous: Anonymous,
    directory: Arc<dyn Directory>,
    entropy: Arc<dyn Entropy>,
    pub(crate) verifier: Verifier,
    pub(crate) patience: Patience,
    /// Of this process: makes what an unknown user is shown unpredictable.
    pub(crate) secret: Sha256Digest,
}

impl Authn {
    /// The rule over these users, with a thread that checks their passwords.
    pub fn new(
        anonymous: Anonymous,
        directory: Arc<dyn Directory>,
        entropy: Arc<dyn Entropy>,
        verifier: Verifier,
    ) -> Self {
        let mut secret = [0; 32];
        entropy.fill(&mut secret);
        let shared = Arc::new(Shared {
            anonymous,
            directory,
            entropy,
            verifier,
            patience: Patience::default(),
            secret,
        });
        Self { shared }
    }
}

impl Policy for Authn {
    fn name(&self) -> &'static str {
        "authn"
    }

    fn admit(&self, who: &Principal, action: &Action<'_>) -> Verdict {
        match action {
            Action::Connect(conn) if who.proof == Proof::Anonymous => {
                if self.shared.admits_anonymous(conn) {
                    Verdict::Yes
                } else {
                    no("anonymous clients may enter over loopback only, while no user exists")
                }
            }
            Action::Connect(_) if is_misnamed(who) => no("the token is for another client"),
            Action::Stay if !self.shared.still_holds(who) => no("the login holds no more"),
            Action::Connect(_)
            | Action::Stay
            | Action::Publish(_)
            | Action::Subscribe(_)
            | Action::Receive { .. }
            | Action::Consume(_)
            | Action::Declare(_) => Verdict::Yes,
        }
    }

    fn mechanisms(&self, conn: &ConnInfo) -> &'static [&'static str] {
        if conn.certificate_name.is_some() {
            &[external::NAME, scram::NAME, plain::NAME]
        } else if self.shared.admits_anonymous(conn) {
            &[scram::NAME, plain::NAME, ANONYMOUS]
        } else {
            &[scram::NAME, plain::NAME]
        }
    }

    fn login(&self, conn: &ConnInfo, mechanism: &str) -> Option<Box<dyn Login>> {
        let shared = Arc::clone(&self.shared);
        let conn = conn.clone();
        match mechanism {
            plain::NAME => Some(Box::new(Plain { shared, conn })),
            scram::NAME => Some(Box::new(Scram::new(shared, conn))),
            external::NAME => {
                let name = conn.certificate_name?;
                Some(Box::new(External { name }))
            }
            ANONYMOUS => Some(Box::new(Unproven { shared, conn })),
            _ => None,
        }
    }
}

impl Shared {
    pub(crate) fn admits_anonymous(&self, conn: &ConnInfo) -> bool {
        conn.is_loopback() && self.needs_nobody_known()
    }

    fn needs_nobody_known(&self) -> bool {
        // Where tokens are believed, users are kept elsewhere.
        self.anonymous == Anonymous::Loopback
            && !self.verifier.takes_tokens()
            && self.directory.is_empty(NAMESPACE)
    }

    /// Whether somebody who is in would be let in by the same proof now.
    fn still_holds(&self, who: &Principal) -> bool {
        match who.proof {
            Proof::Anonymous => self.needs_nobody_known(),
            Proof::Password(seal) => {
                let document = self.directory.get(NAMESPACE, who.name.as_bytes());
                document.is_some_and(|document| self.seal(&document) == seal)
            }
            // They hold for as long as they say, whatever users there are.
            Proof::Certificate | Proof::Token(_) => true,
        }
    }

    /// A user by name, and the seal of what is known of it; one whose document is damaged counts as unknown.
    pub(crate) fn user(&self, name: &str) -> Option<(User, Seal)> {
        let document = self.directory.get(NAMESPACE, name.as_bytes())?;
        let user = User::from_json(&document).ok()?;
        Some((user, self.seal(&document)))
    }

    fn seal(&self, document: &[u8]) -> Seal {
        let digest = hmac(&self.secret, &[document]);
        let first = digest.first_chunk().copied().unwrap_or_default();
        Seal(u64::from_be_bytes(first))
    }

    pub(crate) fn nonce(&self) -> String {
        let mut bytes = [0; 18];
        self.entropy.fill(&mut bytes);
        STANDARD_NO_PAD.encode(bytes)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("anonymous", &self.anonymous)
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

fn no(why: &'static str) -> Verdict {
    let policy = "authn";
    Verdict::No(Denied { policy, why })
}

/// Whether a client calls itself otherwise than its token.
fn is_misnamed(who: &Principal) -> bool {
    let token = who.token();
    let only = token.and_then(|token| token.client.as_ref());
    only.is_some_and(|only| *only != who.client)
}

/// The principal of a user that has shown this.
pub(crate) fn proven(name: &str, proof: Proof) -> Principal {
    Principal {
        client: Text::new(),
        name: Text::from(name),
        proof,
    }
}

/// ANONYMOUS (RFC 4505): the client says that it has no proof.
#[derive(Debug)]
struct Unproven {
    shared: Arc<Shared>,
    conn: ConnInfo,
}

impl Login for Unproven {
    fn step<'a>(&'a mut self, _trace: &'a [u8]) -> BoxFuture<'a, Step> {
        let step = if self.shared.admits_anonymous(&self.conn) {
            Step::Done(Principal::anonymous(), Bytes::new())
        } else {
            Step::Refused("anonymous clients may not enter here")
        };
        Box::pin(std::future::ready(step))
    }
}

#[cfg(test)]
pub(crate) mod tests;
