//! What a log that keeps only the newest message of each key is told of keys.

use bytes::Bytes;
use fairlead_canon::codec::envelope;
use fairlead_canon::{Key, Message};
use fairlead_ports::{Op, Ops, Targets};
use fairlead_topology::Stream;
use sha2::{Digest, Sha256};

use crate::{Error, Reason};

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

/// Seals a message for logs that keep the newest of each key; the bytes it takes.
pub(crate) fn stage_keyed(message: &Message, to: Targets, ops: &mut Ops) -> Result<usize, Error> {
    if to.is_empty() {
        return Ok(0);
    }
    let Some(key) = &message.key else {
        let detail = "a compacted log takes no message without a key";
        return Err(Error::peer(Reason::Denied, detail));
    };
    let mut batch = envelope::seal(message);
    batch.keys = vec![Key {
        key: Some(compaction_key(key)),
        has_value: message.body.is_some(),
    }];
    let bytes = batch.bytes.len();
    ops.push(Op::Append { to, batch });
    Ok(bytes)
}
