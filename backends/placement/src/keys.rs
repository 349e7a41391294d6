//! Keys of latest values on their way.
//!
//! What cleared a key is kept nowhere, so a copy that has the key is told by a message of its own. Its
//! place is an offset where nothing is kept any more. There are enough: whatever cleared the key lay in
//! one, behind all that the key was given before. So nothing is copied beyond what is known to be
//! cleared, and no such place is left to nobody while a key waits for one.

use bytes::Bytes;
use fairlead_canon::{Batch, BatchFlags, Codec, Key, Offset, Timestamp};
use fairlead_ports::{Log, StoreError, Stored};

/// A key that no message has: no name is this, since it is no text.
pub(crate) const NOBODY: Bytes = Bytes::from_static(&[0xff]);

/// Where the batch begins that has the newest message of a key.
pub(crate) async fn newest(log: &dyn Log, key: &Bytes) -> Result<Option<Offset>, StoreError> {
    let page = log.latest(key.clone(), None, 1).await?;
    if let Some((_, error)) = page.damaged {
        return Err(error);
    }
    let first = page.entries.into_iter().next();
    let own = first.filter(|(first, _)| first == key);
    Ok(own.map(|(_, stored)| stored.base))
}

/// Takes the keys from those messages of a batch that are not the newest any more. In their place it
/// clears as many as it can of those that are gone.
pub(crate) async fn replace_old(
    log: &dyn Log,
    stored: &mut Stored,
    gone: &mut Vec<Bytes>,
) -> Result<(), StoreError> {
    // One that has a single key is kept because of it.
    if stored.batch.keys.len() < 2 {
        return Ok(());
    }
    for key in &mut stored.batch.keys {
        let is_newest = match &key.key {
            Some(name) if key.has_value => newest(log, name).await? == Some(stored.base),
            Some(_) | None => false,
        };
        if !is_newest {
            *key = cleared(gone.pop().unwrap_or(NOBODY));
        }
    }
    Ok(())
}

fn cleared(key: Bytes) -> Key {
    Key {
        key: Some(key),
        has_value: false,
    }
}

/// Clears a key.
pub(crate) fn clearing(key: Bytes) -> Batch {
    Batch {
        codec: Codec::Envelope,
        bytes: Bytes::new(),
        count: 1,
        span: 1,
        time: Timestamp(0),
        deadline: None,
        stamp: None,
        flags: BatchFlags::default(),
        keys: vec![cleared(key)],
    }
}
