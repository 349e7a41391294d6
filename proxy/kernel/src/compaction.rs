//! What a log that keeps only the newest message of each key is told of keys.

use bytes::Bytes;
use fairlead_topology::Stream;
use sha2::{Digest, Sha256};

/// Bytes of a hash that stand for a key: two keys of a log meet in them by chance as good as never.
const SHORT: usize = 16;

/// The form in which `Batch::keys` names a key to such a log: short, whatever its length.
pub fn compaction_key(key: &[u8]) -> Bytes {
    Bytes::copy_from_slice(Sha256::digest(key).get(..SHORT).unwrap_or_default())
}

/// Whether a stream keeps the newest message of each key.
pub(crate) fn is_compacted(stream: &Stream) -> bool {
    stream.settings().compaction.is_some()
}
