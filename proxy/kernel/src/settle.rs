//! Ending deliveries.

use std::collections::BTreeMap;

use fairlead_canon::{Offset, Outcome, Promise};
use fairlead_ports::{CursorId, Op, Unit};

use crate::consume::Attached;
use crate::publish::documents;
use crate::verb::{AttachmentId, DeliveryId, Pending, Settle, ranges};
use crate::{Caller, Error};

impl Caller {
    /// Ends deliveries; those that are no longer this caller's are passed over. Kept with the next
    /// [`Caller::flush`].
    pub fn settle(&mut self, settle: Settle<'_>) -> Result<Pending, Error> {
        let Settle {
            ids,
            outcome,
            promise,
            with,
        } = settle;
        let pending = self.outbox.next();
        let mut ops = documents(self.space, with);
        let is_awaited = promise == Promise::Durable;
        for (attachment, offsets) in by_attachment(ids) {
            let Some((entity, ended)) = self.end(attachment, &offsets, outcome) else {
                continue;
            };
            if ended.is_empty() {
                continue;
            }
            if ops.is_empty() && !is_awaited {
                self.outbox.stage_settled(entity, ended, outcome);
                continue;
            }
            let ranges = ranges(ended);
            ops.push(Op::Settle {
                entity,
                cursor: CursorId(0),
                ranges,
                outcome,
            });
        }
        let receipt = is_awaited.then_some((pending, 0));
        if !ops.is_empty() {
            self.outbox.stage(
                Unit {
                    ops,
                    promise: promise.max(Promise::Accepted),
                },
                0,
                receipt,
            );
        } else if is_awaited {
            self.outbox.stage_receipt(pending, 0);
        }
        Ok(pending)
    }

    /// Ends deliveries in their queue; which of them really ended.
    pub(crate) fn end(
        &mut self,
        attachment: AttachmentId,
        offsets: &[Offset],
        outcome: Outcome,
    ) -> Option<(fairlead_canon::EntityId, Vec<u64>)> {
        let member = self.member(attachment);
        let Some(Attached::Queue(attached)) = self.attachments.get(&attachment) else {
            return None;
        };
        let hot = &attached.hot;
        let ended = hot.with(|queue| {
            let end = |offset: &&Offset| match outcome {
                Outcome::Returned => queue.put_back(member, **offset),
                Outcome::Done | Outcome::Dead(_) => queue.done(member, **offset),
            };
            offsets.iter().filter(end).map(|offset| offset.0).collect()
        });
        let entity = hot.entity;
        self.look_for_loads(attachment);
        self.forget_if_left(attachment);
        Some((entity, ended))
    }
}

/// Groups deliveries by attachment, offsets sorted.
pub(crate) fn by_attachment(ids: &[DeliveryId]) -> BTreeMap<AttachmentId, Vec<Offset>> {
    let mut groups: BTreeMap<AttachmentId, Vec<Offset>> = BTreeMap::new();
    for id in ids {
        groups.entry(id.attachment).or_default().push(id.offset);
    }
    for offsets in groups.values_mut() {
        offsets.sort_unstable();
    }
    groups
}
