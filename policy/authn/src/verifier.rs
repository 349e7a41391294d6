//! One thread that checks passwords, because a check takes tens of milliseconds and 19 MiB, and a
//! thread that serves clients has neither to spare.

use std::io;
use std::sync::Arc;
use std::thread;

use argon2::password_hash::PasswordHash;
use argon2::{Argon2, PasswordVerifier};
use fairlead_ports::Entropy;
use tokio::sync::{mpsc, oneshot};

use crate::imported::Imported;
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
}

struct Job {
    /// `None` for an unknown user: as much work, and never right.
    hash: Option<String>,
    password: Vec<u8>,
    answer: oneshot::Sender<bool>,
}

impl Verifier {
    /// Starts the thread.
    pub fn start(entropy: &dyn Entropy) -> io::Result<Self> {
        let (mut key, mut decoy_salt) = ([0; 32], [0; 16]);
        entropy.fill(&mut key);
        entropy.fill(&mut decoy_salt);
        let verified = Arc::new(Verified::new(key));
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let shared = Arc::clone(&verified);
        thread::Builder::new()
            .name("fairlead-login".into())
            .spawn(move || run(queue, &shared, &decoy_salt))?;
        Ok(Self { jobs, verified })
    }

    /// Whether the check would be instant and right.
    pub(crate) fn remembers(&self, hash: &str, password: &[u8]) -> bool {
        self.verified.contains(hash, password)
    }

    /// Checks a password in turn. Dropping the future gives up the answer, not the check.
    pub(crate) async fn check(&self, hash: Option<String>, password: &[u8]) -> bool {
        let (answer, verdict) = oneshot::channel();
        let job = Job {
            hash,
            password: password.to_vec(),
            answer,
        };
        // A thread that is gone checks nothing, and what is not checked is not right.
        self.jobs.send(job).await.is_ok() && verdict.await.unwrap_or(false)
    }
}

fn run(mut queue: mpsc::Receiver<Job>, verified: &Verified, decoy_salt: &[u8; 16]) {
    let decoy = user::hash(b"", decoy_salt).unwrap_or_default();
    while let Some(job) = queue.blocking_recv() {
        if job.answer.is_closed() {
            continue;
        }
        let hash = job.hash.as_deref();
        let is_right = fits(hash.unwrap_or(&decoy), &job.password) && hash.is_some();
        if let Some(hash) = hash.filter(|_| is_right) {
            verified.insert(hash, &job.password);
        }
        // The connection may have gone away meanwhile; then nobody wants to know.
        job.answer.send(is_right).ok();
    }
}

fn fits(hash: &str, password: &[u8]) -> bool {
    if let Some(imported) = Imported::parse(hash) {
        return imported.fits(password);
    }
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}
