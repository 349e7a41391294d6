//! SCRAM-SHA-256 (RFC 5802, RFC 7677): the client proves its password without showing it.
//!
//! ```text
//! client  n,,n=ada,r=<its nonce>
//! server  r=<its nonce><ours>,s=<salt>,i=<rounds>
//! client  c=biws,r=<both nonces>,p=<proof>
//! server  v=<our own proof>
//! ```

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fairlead_canon::{Proof, Seal};
use fairlead_ports::{BoxFuture, ConnInfo, Login, Step};
use tokio::time::{Instant, sleep};

use crate::keys::ScramKeys;
use crate::rule::{Shared, proven};
use crate::user::NAME_BYTES_MAX;

pub(crate) const NAME: &str = "SCRAM-SHA-256";

/// Longest message taken from a client, in bytes: an escaped name, a nonce and a proof fit well.
const MESSAGE_BYTES_MAX: usize = 2048;

#[derive(Debug)]
pub(crate) struct Scram {
    shared: Arc<Shared>,
    conn: ConnInfo,
    state: State,
}

enum State {
    /// Waits for the client's first message.
    First,
    /// The challenge is out; waits for the proof.
    Challenged(Box<Challenge>),
    /// Nothing more to say.
    Over,
}

struct Challenge {
    name: String,
    /// `None` for a user that does not exist.
    known: Option<(ScramKeys, Seal)>,
    decoy: ScramKeys,
    /// The client's channel-binding header, in base64, as it must come back.
    binding: String,
    nonce: String,
    /// Both first messages, without the binding header.
    so_far: String,
}

impl Scram {
    pub(crate) fn new(shared: Arc<Shared>, conn: ConnInfo) -> Self {
        Self {
            shared,
            conn,
            state: State::First,
        }
    }

    async fn advance(&mut self, said: &[u8]) -> Step {
        let text = std::str::from_utf8(said).ok();
        let Some(text) = text.filter(|text| text.len() <= MESSAGE_BYTES_MAX) else {
            return Step::Refused("malformed SCRAM message");
        };
        match std::mem::replace(&mut self.state, State::Over) {
            State::First => self.challenge(text),
            State::Challenged(challenge) => self.judge(&challenge, text).await,
            State::Over => Step::Refused("the login is over"),
        }
    }

    fn challenge(&mut self, text: &str) -> Step {
        let Some(first) = First::parse(text) else {
            return Step::Refused("malformed first SCRAM message");
        };
        let user = self.shared.user(&first.name);
        let known = user.and_then(|(user, seal)| Some((user.scram_keys()?, seal)));
        let decoy = ScramKeys::decoy(&self.shared.secret, first.name.as_bytes());
        let shown = known.as_ref().map_or(&decoy, |(keys, _)| keys);
        let nonce = format!("{}{}", first.nonce, self.shared.nonce());
        let salt = STANDARD.encode(shown.salt);
        let answer = format!("r={nonce},s={salt},i={}", shown.iterations);
        self.state = State::Challenged(Box::new(Challenge {
            name: first.name,
            binding: STANDARD.encode(first.header),
            so_far: format!("{},{answer}", first.bare),
            known,
            decoy,
            nonce,
        }));
        Step::Continue(Bytes::from(answer))
    }

    async fn judge(&self, challenge: &Challenge, text: &str) -> Step {
        let peer = self.conn.peer.ip();
        let Some(pause) = self.shared.patience.reserve(peer, Instant::now()) else {
            return Step::Refused("too many failed logins from this address");
        };
        sleep(pause).await;
        let Some((signature, seal)) = challenge.check(text) else {
            self.shared.patience.failed(peer, Instant::now());
            return Step::Refused("unknown user or wrong proof");
        };
        let last = format!("v={}", STANDARD.encode(signature));
        let who = proven(&challenge.name, Proof::Password(seal));
        Step::Done(who, Bytes::from(last))
    }
}

impl Login for Scram {
    fn step<'a>(&'a mut self, said: &'a [u8]) -> BoxFuture<'a, Step> {
        Box::pin(self.advance(said))
    }
}

impl Challenge {
    /// Our signature when the final message is right in every part, and the seal of what it was checked against.
    fn check(&self, text: &str) -> Option<([u8; 32], Seal)> {
        let (without_proof, proof) = text.rsplit_once(",p=")?;
        let mut parts = without_proof.splitn(3, ',');
        let binding = parts.next()?.strip_prefix("c=")?;
        let nonce = parts.next()?.strip_prefix("r=")?;
        let proof = STANDARD.decode(proof).ok()?.try_into().ok()?;
        let conversation = format!("{},{without_proof}", self.so_far);
        let keys = self.known.as_ref().map_or(&self.decoy, |(keys, _)| keys);
        let signature = keys.check(conversation.as_bytes(), &proof)?;
        let (_, seal) = self.known.as_ref()?;
        let is_same = binding == self.binding && nonce == self.nonce;
        is_same.then_some((signature, *seal))
    }
}

/// The client's first message.
struct First<'a> {
    header: &'a str,
    bare: &'a str,
    name: String,
    nonce: &'a str,
}

impl<'a> First<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(3, ',');
        let binding = parts.next()?;
        let act_for = parts.next()?;
        let bare = parts.next()?;
        // `y`: the client could bind to a channel and believes that we cannot. `p=` would bind.
        if !matches!(binding, "n" | "y") {
            return None;
        }
        let mut fields = bare.split(',');
        let name = unescape(fields.next()?.strip_prefix("n=")?)?;
        let nonce = fields.next()?.strip_prefix("r=")?;
        let is_self = act_for.is_empty() || act_for.strip_prefix("a=") == Some(&name);
        let is_sound = !nonce.is_empty() && name.len() <= NAME_BYTES_MAX && is_self;
        let header = text.strip_suffix(bare)?;
        is_sound.then_some(Self {
            header,
            bare,
            name,
            nonce,
        })
    }
}

/// `=2C` is a comma, `=3D` an equals sign, and nothing else may follow `=`.
fn unescape(name: &str) -> Option<String> {
    let plain = name.replace("=2C", ",").replace("=3D", "");
    let is_sound = !plain.contains('=') && !name.is_empty();
    is_sound.then(|| name.replace("=2C", ",").replace("=3D", "="))
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::First => "First",
            Self::Challenged(_) => "Challenged",
            Self::Over => "Over",
        })
    }
}
