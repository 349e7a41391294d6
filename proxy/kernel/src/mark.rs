//! The store knows what is handed out before it is: whatever comes again after a crash says so.

use std::sync::Arc;

use fairlead_canon::{Offset, Promise};
use fairlead_delivery::{Assigned, Place, Queue};
use fairlead_ports::{Commit, Marks, Op, Store, StoreError, Unit};

use crate::hub::Hot;

const _: () = assert!(Queue::MARK_AHEAD <= Marks::AHEAD_MAX);

/// A hand-out mark on its way to the store.
pub(crate) struct Mark {
    hot: Arc<Hot>,
    lane: u8,
    upto: Offset,
    commit: Commit,
}

impl Mark {
    /// Tells the store that these messages of one lane are handed out, unless it knows.
    pub(crate) fn begin(store: &dyn Store, hot: &Arc<Hot>, assigned: &[Assigned]) -> Option<Self> {
        let last = assigned.iter().map(|one| one.place).max()?;
        let Place { lane, .. } = last;
        let upto = hot.quietly(|queue| queue.lacks_mark(last))?;
        let entity = hot.lane(lane)?;
        let ops = [Op::Mark { entity, upto }].into();
        let promise = Promise::Durable;
        Some(Self {
            hot: Arc::clone(hot),
            lane,
            upto,
            commit: store.commit([Unit { ops, promise }].into()),
        })
    }

    /// Waits until the store has it for good. Others who read the same queue wait for marks of
    /// their own until then.
    pub(crate) async fn kept(self) -> Result<(), StoreError> {
        for result in self.commit.await {
            result?;
        }
        self.hot.quietly(|queue| queue.marked(self.lane, self.upto));
        Ok(())
    }
}
