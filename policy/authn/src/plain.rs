//! PLAIN (RFC 4616): a name and a password in one message.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::Principal;
use fairlead_ports::{BoxFuture, ConnInfo, Login, Step};
use tokio::time::{Instant, sleep};

use crate::rule::Shared;
use crate::user::{NAME_BYTES_MAX, PASSWORD_BYTES_MAX, User};

pub(crate) const NAME: &str = "PLAIN";

/// What clients send who were never told another login. Where anonymous clients may enter it
/// counts as anonymous; it is not a user.
const STOCK_LOGIN: Claim<'static> = Claim {
    name: "guest",
    password: b"guest",
};

#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) shared: Arc<Shared>,
    pub(crate) conn: ConnInfo,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Claim<'a> {
    name: &'a str,
    password: &'a [u8],
}

impl Login for Plain {
    fn step<'a>(&'a mut self, said: &'a [u8]) -> BoxFuture<'a, Step> {
        Box::pin(self.check(said))
    }
}

impl Plain {
    async fn check(&self, said: &[u8]) -> Step {
        let Some(claim) = Claim::parse(said) else {
            return Step::Refused("malformed PLAIN message");
        };
        if claim == STOCK_LOGIN && self.shared.admits_anonymous(&self.conn) {
            return Step::Done(Principal::anonymous(), Bytes::new());
        }
        let hash = self.shared.user(claim.name).map(User::hash);
        let is_known = hash.as_ref().is_some_and(|hash| {
            let verifier = &self.shared.verifier;
            verifier.remembers(hash, claim.password)
        });
        if is_known {
            return done(claim.name);
        }
        self.check_slowly(hash, claim).await
    }

    async fn check_slowly(&self, hash: Option<String>, claim: Claim<'_>) -> Step {
        let peer = self.conn.peer.ip();
        let Some(pause) = self.shared.patience.reserve(peer, Instant::now()) else {
            return Step::Refused("too many failed logins from this address");
        };
        sleep(pause).await;
        if self.shared.verifier.check(hash, claim.password).await {
            return done(claim.name);
        }
        self.shared.patience.failed(peer, Instant::now());
        Step::Refused("unknown user or wrong password")
    }
}

fn done(name: &str) -> Step {
    Step::Done(crate::rule::proven(name), Bytes::new())
}

impl<'a> Claim<'a> {
    /// `authorize-as NUL name NUL password`; acting for somebody else is not offered.
    fn parse(said: &'a [u8]) -> Option<Self> {
        let mut parts = said.splitn(3, |&byte| byte == 0);
        let act_for = parts.next()?;
        let name = parts.next()?;
        let password = parts.next()?;
        if name.len() > NAME_BYTES_MAX || password.len() > PASSWORD_BYTES_MAX {
            return None;
        }
        if !act_for.is_empty() && act_for != name {
            return None;
        }
        let name = std::str::from_utf8(name).ok()?;
        Some(Self { name, password })
    }
}
