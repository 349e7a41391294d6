//! Taking single messages from a queue, emptying it, and measuring it.

use std::collections::BTreeSet;
use std::sync::Arc;

use fairlead_canon::{EntityId, Offset, Outcome, Promise};
use fairlead_delivery::Joining;
use fairlead_ports::{Action, CursorId, Op, StoreError, Unit};
use fairlead_topology::{Lifetime, Stream, StreamKey};

use crate::bodies::{opened, read_bodies};
use crate::consume::{Attached, QueueAttachment, Role};
use crate::hub::Entrant;
use crate::load::Load;
use crate::verb::{AttachmentId, Depth, Settling, Taken};
use crate::{Caller, Error};

/// Entries settled at a time by a purge.
const PURGE_PAGE: usize = 16_384;

impl Caller {
    /// Takes the oldest ready message of a queue, if there is one.
    pub async fn take(
        &mut self,
        key: &StreamKey,
        settling: Settling,
    ) -> Result<Option<Taken>, Error> {
        self.admit(&Action::Consume(&key.name))?;
        let stream = self.own_or_shared(key)?;
        if let Lifetime::Unused { .. } = stream.lifetime {
            // Taking is a use: the time without one begins anew.
            self.kernel.janitor.unused(&stream);
        }
        let id = self.taking_attachment(&stream).await?;
        let Some(Attached::Queue(attached)) = self.attachments.get(id) else {
            return Ok(None);
        };
        let hot = Arc::clone(&attached.hot);
        loop {
            let Some(assigned) = hot.with(|queue| queue.take(self.member(id))) else {
                match hot.with(|queue| queue.lacks_all()) {
                    Some(from) => {
                        let store = &*self.kernel.backing.store;
                        let load = Load::start(store, Arc::clone(&hot), from);
                        load.finish().await?;
                    }
                    None => return Ok(None),
                }
                continue;
            };
            let store = &*self.kernel.backing.store;
            let bodies = match read_bodies(store, &hot, &[assigned]).await {
                Err(error @ StoreError::Corrupt { .. }) => {
                    self.pass_by(id, &[assigned], &error.into());
                    continue;
                }
                read => read?,
            };
            let mut deliveries = self.open_bodies(id, 1, opened(&[assigned], bodies));
            let Some(delivery) = deliveries.pop() else {
                continue;
            };
            if settling == Settling::OnDelivery {
                self.settle_delivered(id, std::slice::from_ref(&delivery));
            }
            let remaining = self.kernel.depth_of(&stream).await?.ready;
            return Ok(Some(Taken {
                delivery,
                remaining,
            }));
        }
    }

    /// Removes every ready message of a queue; how many.
    pub async fn purge(&mut self, key: &StreamKey) -> Result<u64, Error> {
        self.admit(&Action::Declare(&key.name))?;
        let stream = self.own_or_shared(key)?;
        let mut purged = 0;
        for lane in &stream.lanes {
            purged += self.purge_lane(*lane).await?;
        }
        Ok(purged)
    }

    /// How much is in a queue or mailbox, summed over its lanes.
    pub async fn depth(&self, key: &StreamKey) -> Result<Depth, Error> {
        let stream = self.own_or_shared(key)?;
        self.kernel.depth_of(&stream).await
    }

    /// Settles every ready message below the end; those that are held stay with their holders.
    async fn purge_lane(&mut self, lane: EntityId) -> Result<u64, Error> {
        let log = self.kernel.backing.store.open(lane)?;
        let end = log.marks().await?.end;
        let held: BTreeSet<u64> = self.kernel.hub.get(lane).map_or_else(BTreeSet::new, |hot| {
            hot.with(|queue| {
                let number = hot.number_of(lane);
                queue.purge(number, end);
                queue.held(number).map(|offset| offset.0).collect()
            })
        });
        let mut purged = 0;
        let mut from = Offset(0);
        loop {
            let page = log.backlog(CursorId(0), from, PURGE_PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(purged);
            };
            from = last.base.plus(u64::from(last.span));
            let offsets = page
                .iter()
                .flat_map(|e| e.base.0..e.base.0 + u64::from(e.span));
            let ready: Vec<u64> = offsets
                .filter(|offset| *offset < end.0 && !held.contains(offset))
                .collect();
            if ready.is_empty() {
                continue;
            }
            purged += ready.len() as u64;
            let ranges = crate::verb::ranges(ready);
            let settle = Op::Settle {
                entity: lane,
                cursor: CursorId(0),
                ranges,
                outcome: Outcome::Done,
            };
            let unit = Unit {
                ops: [settle].into(),
                promise: Promise::Durable,
            };
            self.kernel.commit_one(unit).await?;
        }
    }

    /// The attachment that takes single messages from a queue: outside the turn of consumers.
    async fn taking_attachment(&mut self, stream: &Arc<Stream>) -> Result<AttachmentId, Error> {
        let taking = self
            .attachments
            .iter()
            .find_map(|(id, attached)| match attached {
                Attached::Queue(own) if own.role == Role::Taking && own.hot.is_of(stream) => {
                    Some(id)
                }
                Attached::Queue(_) | Attached::Live(_) => None,
            });
        if let Some(id) = taking {
            return Ok(id);
        }
        let id = self.next_attachment()?;
        let joining = Joining {
            allowance: None,
            id: self.member(id),
            window: 0,
            ahead_max: 0,
            priority: 0,
        };
        let entrant = Entrant {
            joining,
            inbox: Arc::clone(&self.inbox),
            is_exclusive: false,
            is_consumer: false,
        };
        let hot = self.join(stream, entrant).await?;
        let attached = QueueAttachment {
            allowance: None,
            hot,
            key: stream.key.clone(),
            has_route: stream.settings().dead_letter.is_some(),
            settling: Settling::Explicit,
            role: Role::Taking,
        };
        self.attachments.insert(id, Attached::Queue(attached));
        Ok(id)
    }
}
