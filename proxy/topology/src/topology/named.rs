//! Streams by their names.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::{Stream, StreamKey};

/// A stream as the key under which it lies: its name is kept once.
#[derive(Debug)]
pub(super) struct Named(pub(super) Arc<Stream>);

impl Borrow<StreamKey> for Named {
    fn borrow(&self) -> &StreamKey {
        &self.0.key
    }
}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for Named {}

/// 16 bits that are the same for all lanes of a stream and in every process (FNV-1a, folded).
pub(super) fn spread(key: &StreamKey) -> u16 {
    let family = [key.family as u8];
    let bytes = family.iter().chain(key.name.as_bytes());
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    u16::try_from((hash >> 16) ^ (hash & 0xffff)).unwrap_or(0)
}
