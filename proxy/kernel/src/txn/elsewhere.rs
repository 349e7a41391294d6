//! What a transaction published to lanes that others read by address: they see it when it is
//! committed, in the unit of its end.

use std::sync::Arc;

use fairlead_canon::{Address, Batch, EntityId, Message, Offset, ProducerId, Promise};
use fairlead_ports::{Decision, Ops, StoreError, Unit, Want};
use fairlead_topology::{Stream, StreamKey};

use super::record::{self, LANES, Phase};
use super::step::Ended;
use super::{Holder, Transactions, TxnError};
use crate::admission::Admitted;
use crate::publish::Plan;
use crate::{Caller, Error};

/// Gathered so far.
#[derive(Default)]
struct Elsewhere {
    ops: Ops,
    bytes: usize,
    /// Room that was taken in queues.
    admitted: Admitted,
    live: Vec<(Message, Arc<Plan>)>,
}

impl Elsewhere {
    /// Beyond so much it is kept before the end of the transaction, in a unit of its own: after a
    /// crash between the two, what lies in it is published twice.
    const OPS_MAX: usize = 4_096;
    const BYTES_MAX: usize = 8 * 1024 * 1024;

    fn is_full(&self) -> bool {
        self.ops.len() >= Self::OPS_MAX || self.bytes >= Self::BYTES_MAX
    }
}

impl Caller {
    /// Ends a transaction; durable on return. Ending it the same way again is no error.
    /// `address_of` tells by which address others read a stream.
    pub async fn conclude(
        &mut self,
        holder: &Holder,
        decision: Decision,
        address_of: impl Fn(&Stream) -> Option<Address> + Send,
    ) -> Result<(), TxnError> {
        let elsewhere = match decision {
            Decision::Commit => self.elsewhere(holder, address_of).await?,
            Decision::Abort => Elsewhere::default(),
        };
        let (who, ops) = (holder.clone(), elsewhere.ops);
        let step = |owner: Arc<Transactions>| async move { owner.end(&who, decision, ops).await };
        let transactions = Arc::clone(&self.kernel.transactions);
        match transactions.take(&holder.name, step).await? {
            Ended::Now => {
                elsewhere.admitted.kept();
                self.serve(elsewhere.live);
            }
            Ended::Before => {}
        }
        Ok(())
    }

    /// Everything in an open transaction that is bound to more than its lane.
    async fn elsewhere(
        &mut self,
        holder: &Holder,
        address_of: impl Fn(&Stream) -> Option<Address> + Send,
    ) -> Result<Elsewhere, TxnError> {
        let mut found = Elsewhere::default();
        let transactions = Arc::clone(&self.kernel.transactions);
        if transactions.held(holder).await?.phase != Phase::Open {
            return Ok(found);
        }
        let prefix = record::prefix(holder.producer);
        for document in transactions.list(LANES, prefix).await? {
            let (lane, from) = record::lane(&document)?;
            let stream = self.kernel.topology(|t| t.stream_of(lane).cloned());
            let Some(stream) = stream else { continue };
            let Some(address) = address_of(&stream) else {
                continue;
            };
            if self.plan(&address, None).leads_beyond(&stream.key) {
                let part = Part {
                    producer: holder.producer,
                    lane,
                    from,
                };
                self.gather(&part, (&stream.key, &address), &mut found)
                    .await?;
            }
        }
        Ok(found)
    }

    async fn gather(
        &mut self,
        part: &Part,
        (key, address): (&StreamKey, &Address),
        found: &mut Elsewhere,
    ) -> Result<(), Error> {
        /// Read at a time.
        const PAGE_BYTES: u32 = 1024 * 1024;
        let log = self.kernel.backing.store.open(part.lane)?;
        let mut from = part.from;
        loop {
            let chunk = match log.read(from, Want::bytes(PAGE_BYTES)).await {
                Ok(chunk) => chunk,
                // The lane is gone, or what is missing was trimmed away.
                Err(StoreError::NoEntity(_)) => return Ok(()),
                Err(StoreError::OutOfRange { start, .. }) if start > from => {
                    from = start;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let Some(last) = chunk.batches.last() else {
                return Ok(());
            };
            from = last.base.plus(u64::from(last.batch.span));
            for stored in chunk.batches.iter().filter(|s| part.has(&s.batch)) {
                for opened in stored.batch.open(address)? {
                    self.meters.lost(self.origin, opened.loss);
                    let message = Message {
                        origin: self.origin,
                        ..opened.message
                    };
                    let plan = self.plan(address, Some(&message.headers));
                    let at = (&message, &plan);
                    let (bytes, admitted) =
                        self.stage_beyond((part.lane, key), at, &mut found.ops)?;
                    found.bytes += bytes;
                    found.admitted.join(admitted);
                    found.live.push((message, plan));
                }
                if found.is_full() {
                    let early = std::mem::take(found);
                    self.kernel
                        .commit_one(Unit {
                            ops: early.ops,
                            promise: Promise::Durable,
                        })
                        .await?;
                    early.admitted.kept();
                    self.serve(early.live);
                }
            }
        }
    }

    fn serve(&mut self, live: Vec<(Message, Arc<Plan>)>) {
        for (message, plan) in live {
            self.serve_live(message, &plan);
        }
        self.flush();
    }
}

/// What a transaction published to one lane.
struct Part {
    producer: ProducerId,
    lane: EntityId,
    /// It lies from here on.
    from: Offset,
}

impl Part {
    fn has(&self, batch: &Batch) -> bool {
        let is_ours = batch
            .stamp
            .is_some_and(|stamp| stamp.producer == self.producer);
        is_ours && batch.flags.transactional && !batch.flags.control
    }
}
