//! Reading the backlog of a queue whose window has run low.

use std::sync::Arc;

use fairlead_delivery::{Facts, Place, Queue, Stretch};
use fairlead_ports::{BoxFuture, CursorId, Entry, Marks, Store, StoreError};

use crate::consume::Attached;
use crate::hub::Hot;
use crate::solo::Solo;
use crate::verb::AttachmentId;
use crate::{Caller, Error};

/// What there is of a backlog, and the marks from before it was read.
type Found = Result<(Vec<Entry>, Marks), StoreError>;

/// A queue's backlog being read; gives the right to load back when dropped.
#[derive(Debug)]
pub(crate) struct Load {
    hot: Arc<Hot>,
    lane: u8,
    pub(crate) backlog: Solo<BoxFuture<'static, Found>>,
    is_done: bool,
}

impl Caller {
    /// Starts reading the backlog of a queue that lacks it.
    pub(crate) fn look_for_loads(&mut self, id: AttachmentId) {
        let Some(Attached::Queue(attached)) = self.attachments.get(id) else {
            return;
        };
        // What is to be loaded is nothing that could be handed out yet.
        while let Some(from) = attached.hot.quietly(Queue::wants_load) {
            let store = &*self.kernel.backing.store;
            self.loads
                .push(Load::start(store, Arc::clone(&attached.hot), from));
        }
    }
}

impl Load {
    pub(crate) fn start(store: &dyn Store, hot: Arc<Hot>, from: Place) -> Self {
        let log = hot.open(store, from.lane);
        let max = usize::try_from(Queue::READY_MAX).unwrap_or(usize::MAX);
        let backlog: BoxFuture<'static, _> = Box::pin(async move {
            let log = log?;
            // Marks first: what comes in between is told to the queue by the store.
            let marks = log.marks().await?;
            let entries = log.backlog(CursorId(0), from.offset, max).await?;
            Ok((entries, marks))
        });
        Self {
            hot,
            lane: from.lane,
            backlog: Solo::new(backlog),
            is_done: false,
        }
    }

    /// Hands what was read to the queue.
    pub(crate) fn done(mut self, found: Found) {
        let Ok((entries, marks)) = found else { return };
        self.is_done = true;
        let hot = &self.hot;
        let stretches: Vec<Stretch> = entries
            .iter()
            .map(|e| Stretch {
                base: e.base.0,
                span: e.span,
                facts: Facts {
                    requeued: e.requeued,
                    deadline: e.deadline,
                    bytes: hot.weigh(e.bytes),
                    is_spared: false,
                },
            })
            .collect();
        let is_all = (entries.len() as u64) < Queue::READY_MAX;
        self.hot
            .loaded(self.lane, Some((stretches, is_all, marks.end)));
    }

    pub(crate) async fn finish(mut self) -> Result<(), Error> {
        let found = std::future::poll_fn(|cx| self.backlog.poll(cx)).await;
        let failed = found.as_ref().err().cloned();
        self.done(found);
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if !self.is_done {
            self.hot.loaded(self.lane, None);
        }
    }
}
