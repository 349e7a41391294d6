//! A document that says which copies on disk are not complete: a start removes those.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{EntityId, Promise};
use fairlead_ports::{Documents, Op, Space, Store, StoreError};

use crate::slice::commit;

/// There is one document in it, since one unit moves at a time.
const SPACE: Space = Space(u16::MAX);
const KEY: Bytes = Bytes::from_static(b"moving");

/// They are on their way to disk: the last thing a move does is to take this back.
pub(crate) fn marked(entities: impl Iterator<Item = EntityId>) -> Op {
    let value: Vec<u8> = entities.flat_map(|id| id.0.to_be_bytes()).collect();
    put(Some(Bytes::from(value)))
}

/// Nobody is on the way.
pub(crate) fn unmarked() -> Op {
    put(None)
}

/// Removes those that were on the way when the process ended.
pub(crate) async fn sweep(
    store: &Arc<dyn Store>,
    documents: &dyn Documents,
) -> Result<(), StoreError> {
    let Some(left) = documents.get(SPACE, KEY).await? else {
        return Ok(());
    };
    let (ids, _none) = left.value.as_chunks();
    for id in ids {
        let entity = EntityId(u64::from_be_bytes(*id));
        let removed = commit(store, [Op::Delete { entity }].into(), Promise::Accepted).await;
        match removed {
            // It had not been made yet.
            Ok(_) | Err(StoreError::NoEntity(_)) => {}
            Err(error) => return Err(error),
        }
    }
    commit(store, [unmarked()].into(), Promise::Durable).await?;
    Ok(())
}

fn put(value: Option<Bytes>) -> Op {
    Op::Put {
        space: SPACE,
        key: KEY,
        value,
        due: None,
    }
}
