//! Messages that their queue could not hand out because they are damaged. They stay in the store, where a backup may mend
//! them, and do not count as ready: nobody can get them.

use std::collections::BTreeSet;

use fairlead_canon::{EntityId, Offset};
use fairlead_ports::{CursorId, Log, StoreError};
use parking_lot::Mutex;

/// Those that are known at once, each some 30 bytes. What is more counts as ready.
const KNOWN_MAX: usize = 4_096;

/// Found since the start of the process; whoever attaches to their queue tries them again.
#[derive(Debug, Default)]
pub(crate) struct Damaged(Mutex<BTreeSet<(EntityId, Offset)>>);

impl Damaged {
    /// Whether it was not known before.
    pub(crate) fn add(&self, entity: EntityId, offset: Offset) -> bool {
        let mut known = self.0.lock();
        if known.len() >= KNOWN_MAX {
            return !known.contains(&(entity, offset));
        }
        known.insert((entity, offset))
    }

    /// How many of an entity wait in the store. Those that do no more are forgotten.
    pub(crate) async fn count(&self, entity: EntityId, log: &dyn Log) -> Result<u64, StoreError> {
        let all = (entity, Offset(0))..=(entity, Offset(u64::MAX));
        let known: Vec<_> = self.0.lock().range(all).copied().collect();
        let mut count = 0;
        for (_, offset) in known {
            let waiting = log.backlog(CursorId(0), offset, 1).await?;
            if waiting.first().is_some_and(|entry| entry.base <= offset) {
                count += 1;
            } else {
                self.0.lock().remove(&(entity, offset));
            }
        }
        Ok(count)
    }
}
