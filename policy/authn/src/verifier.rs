//! One thread that checks passwords and tokens: a password takes tens of milliseconds and 19 MiB, keys of
//! tokens are read from files, and a thread that serves clients has neither to spare.

use std::io;
use std::sync::Arc;
use std::thread;

use argon2::password_hash::PasswordHash;
use argon2::{Argon2, PasswordVerifier};
use fairlead_canon::Principal;
use fairlead_ports::{Clock, Entropy};
use tokio::sync::{mpsc, oneshot};

use crate::imported::Imported;
use crate::token::{TokenRules, Tokens};
use crate::user;
use crate::verified::Verified;

/// Checks that wait for the thread. Further logins wait for a place in the queue, which costs them
/// their own handshake time only.
const QUEUE_MAX: usize = 64;

/// The door to the thread, which ends when this is dropped.
#[derive(Debug)]
pub struct Verifier {
    jobs: mpsc::Sender<Job>,
    verified: Arc<Verified>,
    takes_tokens: bool,
}

enum Job {
    Password {
        /// `None` for an unknown user: as much work, and never right.
        hash: Option<String>,
        password: Vec<u8>,
        answer: oneshot::Sender<bool>,
    },
    Token {
        token: Vec<u8>,
        answer: oneshot::Sender<Shown>,
    },
}

/// Whom a token shows, or why nobody.
type Shown = Result<Principal, &'static str>;

/// What the thread works with.
struct Worker {
    verified: Arc<Verified>,
    tokens: Option<Tokens>,
    /// What the password of an unknown user is compared with.
    decoy: String,
}

impl Verifier {
    /// Starts the thread. Tokens are checked by these rules, and at this clock's time.
    pub fn start(
        entropy: &dyn Entropy,
        tokens: Option<(TokenRules, Arc<dyn Clock>)>,
    ) -> io::Result<Self> {
        let tokens = tokens.map(|(rules, clock)| Tokens::open(rules, clock));
        let tokens = tokens.transpose()?;
        let takes_tokens = tokens.is_some();
        let mut key = [0; 32];
        entropy.fill(&mut key);
        let verified = Arc::new(Verified::new(key));
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let worker = Worker {
            verified: Arc::clone(&verified),
            tokens,
            decoy: user::decoy(entropy).map_err(io::Error::other)?,
        };
        thread::Builder::new()
            .name("fairlead-login".into())
            .spawn(move || worker.run(queue))?;
        Ok(Self {
            jobs,
            verified,
            takes_tokens,
        })
    }

    /// Whether a token may stand for a password.
    pub(crate) fn takes_tokens(&self) -> bool {
        self.takes_tokens
    }

    /// Checks a token in turn.
    pub(crate) async fn check_token(&self, token: &[u8]) -> Shown {
        let (answer, verdict) = oneshot::channel();
        let token = token.to_vec();
        let gone = "nobody checks tokens";
        let sent = self.jobs.send(Job::Token { token, answer }).await;
        sent.map_err(|_closed| gone)?;
        verdict.await.unwrap_or(Err(gone))
    }

    /// Whether the check would be instant and right.
    pub(crate) fn remembers(&self, hash: &str, password: &[u8]) -> bool {
        self.verified.contains(hash, password)
    }

    /// Checks a password in turn. Dropping the future gives up the answer, not the check.
    pub(crate) async fn check(&self, hash: Option<String>, password: &[u8]) -> bool {
        let (answer, verdict) = oneshot::channel();
        let job = Job::Password {
            hash,
            password: password.to_vec(),
            answer,
        };
        // A thread that is gone checks nothing, and what is not checked is not right.
        self.jobs.send(job).await.is_ok() && verdict.await.unwrap_or(false)
    }
}

impl Worker {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(job) = queue.blocking_recv() {
            // The connection may have gone away meanwhile; then nobody wants to know.
            match job {
                Job::Password { answer, .. } if answer.is_closed() => {}
                Job::Password {
                    hash,
                    password,
                    answer,
                } => {
                    answer.send(self.is_right(hash.as_deref(), &password)).ok();
                }
                Job::Token { token, answer } => {
                    let tokens = self.tokens.as_mut();
                    let shown = tokens.map_or(Err("no tokens"), |tokens| tokens.check(&token));
                    answer.send(shown).ok();
                }
            }
        }
    }

    fn is_right(&self, hash: Option<&str>, password: &[u8]) -> bool {
        let is_right = fits(hash.unwrap_or(&self.decoy), password) && hash.is_some();
        if let Some(hash) = hash.filter(|_| is_right) {
            self.verified.insert(hash, password);
        }
        is_right
    }
}

fn fits(hash: &str, password: &[u8]) -> bool {
    if let Some(imported) = Imported::parse(hash) {
        return imported.fits(password);
    }
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}
