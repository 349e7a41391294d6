//! Operations on their way to a store, in units that hold up nobody else there for long.

use std::sync::Arc;

use fairlead_canon::{EntityId, Promise, Spec};
use fairlead_ports::{Committed, Op, Ops, Store, StoreError, Unit, Writers};

/// Bytes of messages in a unit of copies.
const BYTES_MAX: u64 = 1 << 20;
/// Operations of one.
const OPS_MAX: usize = Unit::OPS_MAX / 8;

/// What is to be done next with an entity that only its copier knows.
#[derive(Debug)]
pub(crate) struct Slice {
    store: Arc<dyn Store>,
    entity: EntityId,
    ops: Ops,
    bytes: u64,
    /// Something was sent off that cannot be read yet.
    is_unseen: bool,
    /// Bytes of messages so far.
    pub(crate) copied: u64,
}

impl Slice {
    pub(crate) fn to(store: &Arc<dyn Store>, entity: EntityId) -> Self {
        Self {
            store: Arc::clone(store),
            entity,
            ops: Ops::new(),
            bytes: 0,
            is_unseen: false,
            copied: 0,
        }
    }

    /// Adds one, and sends off what is there once it is enough.
    pub(crate) async fn push(&mut self, op: Op) -> Result<(), StoreError> {
        if let Op::Append { batch, .. } = &op {
            let bytes = batch.bytes.len() as u64;
            self.bytes += bytes;
            self.copied += bytes;
        }
        self.ops.push(op);
        if self.bytes >= BYTES_MAX || self.ops.len() >= OPS_MAX {
            self.send(Promise::Accepted).await?;
        }
        Ok(())
    }

    /// Sends off what is there; with [`Promise::Durable`], everything so far can be read afterwards.
    pub(crate) async fn send(&mut self, promise: Promise) -> Result<(), StoreError> {
        let is_seen = promise != Promise::Durable || !self.is_unseen;
        if self.ops.is_empty() && is_seen {
            return Ok(());
        }
        // What its batches say of their writers is of the past: a transaction that they begin may be
        // over, and nobody is to find it open here meanwhile.
        self.ops.push(Op::Restore {
            entity: self.entity,
            writers: Box::new(Writers::default()),
        });
        self.is_unseen = promise != Promise::Durable;
        self.hand_over(promise).await
    }

    /// Sends off what is there, and at last what is remembered of its writers and what it is.
    pub(crate) async fn end(&mut self, writers: Writers, spec: Spec) -> Result<(), StoreError> {
        let (entity, writers) = (self.entity, Box::new(writers));
        let last = [Op::Restore { entity, writers }, Op::Alter { entity, spec }];
        self.ops.extend(last);
        self.hand_over(Promise::Accepted).await
    }

    async fn hand_over(&mut self, promise: Promise) -> Result<(), StoreError> {
        self.bytes = 0;
        let ops = std::mem::take(&mut self.ops);
        commit(&self.store, ops, promise).await.map(drop)
    }
}

/// Commits one unit.
pub(crate) async fn commit(
    store: &Arc<dyn Store>,
    ops: Ops,
    promise: Promise,
) -> Result<Committed, StoreError> {
    let outcome = store.commit([Unit { ops, promise }].into()).await;
    let outcome = outcome.into_iter().next();
    outcome.unwrap_or(Err(StoreError::Unavailable))
}
