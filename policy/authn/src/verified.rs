//! Passwords that were checked a moment ago, so that a thousand clients that reconnect at once do
//! not wait for a thousand slow hashes.

use std::collections::{HashSet, VecDeque};
use std::fmt;

use parking_lot::Mutex;

use crate::keys::{Sha256Digest, hmac};

/// Pairs of user and password remembered; the oldest goes first.
const PAIRS_MAX: usize = 1024;

/// Keeps keyed digests only, under a key that never leaves this process. A changed password has
/// another stored hash, so what was remembered for the old one never matches again.
pub(crate) struct Verified {
    key: Sha256Digest,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    digests: HashSet<Sha256Digest>,
    oldest_first: VecDeque<Sha256Digest>,
}

impl Verified {
    pub(crate) fn new(key: Sha256Digest) -> Self {
        Self {
            key,
            seen: Mutex::default(),
        }
    }

    /// Whether this password was found right for this stored hash.
    pub(crate) fn contains(&self, hash: &str, password: &[u8]) -> bool {
        let digest = self.digest(hash, password);
        self.seen.lock().digests.contains(&digest)
    }

    /// Remembers that it was.
    pub(crate) fn insert(&self, hash: &str, password: &[u8]) {
        let digest = self.digest(hash, password);
        let mut seen = self.seen.lock();
        if !seen.digests.insert(digest) {
            return;
        }
        seen.oldest_first.push_back(digest);
        if seen.oldest_first.len() > PAIRS_MAX
            && let Some(oldest) = seen.oldest_first.pop_front()
        {
            seen.digests.remove(&oldest);
        }
    }

    fn digest(&self, hash: &str, password: &[u8]) -> Sha256Digest {
        // A PHC hash has no zero byte, so the two parts cannot be taken for others.
        hmac(&self.key, &[hash.as_bytes(), &[0], password])
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verified(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_hash_with_the_same_password_is_remembered() {
        let verified = Verified::new([7; 32]);
        verified.insert("hash", b"pw");
        assert!(verified.contains("hash", b"pw"));
        assert!(!verified.contains("hash", b"other"));
        assert!(!verified.contains("changed", b"pw"));
    }

    #[test]
    fn the_oldest_pair_is_forgotten_beyond_the_limit() {
        let verified = Verified::new([7; 32]);
        for n in 0..=PAIRS_MAX {
            verified.insert("hash", &n.to_be_bytes());
        }
        assert!(!verified.contains("hash", &0_usize.to_be_bytes()));
        assert!(verified.contains("hash", &1_usize.to_be_bytes()));
        assert_eq!(verified.seen.lock().digests.len(), PAIRS_MAX);
    }
}
