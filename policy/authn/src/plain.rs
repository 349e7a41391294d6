//! PLAIN (RFC 4616): a name and a password in one message.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{Principal, Proof, Seal};
use fairlead_ports::{BoxFuture, ConnInfo, Login, Step};
use tokio::time::{Instant, sleep};

use crate::rule::{Shared, proven};
use crate::token;
use crate::user::{NAME_BYTES_MAX, PASSWORD_BYTES_MAX};

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
        if self.shared.verifier.takes_tokens() && token::is_like(claim.password) {
            return self.check_token(claim).await;
        }
        let user = self.shared.user(claim.name);
        let known = user.map(|(user, seal)| (user.hash(), seal));
        if let Some((hash, seal)) = &known
            && self.shared.verifier.remembers(hash, claim.password)
        {
            return done(claim.name, *seal);
        }
        self.check_slowly(known, claim).await
    }

    async fn check_slowly(&self, known: Option<(String, Seal)>, claim: Claim<'_>) -> Step {
        if !self.pause().await {
            return Step::Refused("too many failed logins from this address");
        }
        let (hash, seal) = known.unzip();
        let is_right = self.shared.verifier.check(hash, claim.password).await;
        if let Some(seal) = seal.filter(|_| is_right) {
            return done(claim.name, seal);
        }
        self.failed("unknown user or wrong password")
    }

    /// A token names its user; a name beside it must be the same.
    async fn check_token(&self, claim: Claim<'_>) -> Step {
        if !self.pause().await {
            return Step::Refused("too many failed logins from this address");
        }
        match self.shared.verifier.check_token(claim.password).await {
            Ok(who) if claim.name.is_empty() || *who.name == *claim.name => {
                Step::Done(who, Bytes::new())
            }
            Ok(_) => self.failed("a token of another user"),
            Err(why) => self.failed(why),
        }
    }

    /// Waits as long as earlier failures of this address cost; `false`: too many wait.
    async fn pause(&self) -> bool {
        let peer = self.conn.peer.ip();
        let Some(pause) = self.shared.patience.reserve(peer, Instant::now()) else {
            return false;
        };
        sleep(pause).await;
        true
    }

    fn failed(&self, why: &'static str) -> Step {
        let peer = self.conn.peer.ip();
        self.shared.patience.failed(peer, Instant::now());
        Step::Refused(why)
    }
}

fn done(name: &str, seal: Seal) -> Step {
    Step::Done(proven(name, Proof::Password(seal)), Bytes::new())
}

impl<'a> Claim<'a> {
    /// `authorize-as NUL name NUL password`; acting for somebody else is not offered.
    fn parse(said: &'a [u8]) -> Option<Self> {
        let mut parts = said.splitn(3, |&byte| byte == 0);
        let act_for = parts.next()?;
        let name = parts.next()?;
        let password = parts.next()?;
        let bytes_max = match token::is_like(password) {
            true => token::BYTES_MAX,
            false => PASSWORD_BYTES_MAX,
        };
        if name.len() > NAME_BYTES_MAX || password.len() > bytes_max {
            return None;
        }
        if !act_for.is_empty() && act_for != name {
            return None;
        }
        let name = std::str::from_utf8(name).ok()?;
        Some(Self { name, password })
    }
}
