//! Unsettled deliveries: ack, nack, reject, recover.

use std::collections::VecDeque;

use fairlead_canon::{DeadReason, Outcome};
use fairlead_kernel::DeliveryId;

use super::Channel;
use crate::codec::basic;
use crate::connection::Peer;
use crate::errors::{Refusal, ReplyCode};

/// A delivery that the client has to settle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsettled {
    /// Its tag on the channel.
    pub(crate) tag: u64,
    /// Its name in the kernel.
    pub(crate) id: DeliveryId,
}

/// What has to be settled, by rising tag. Clients settle mostly from the front.
#[derive(Debug, Default)]
pub(crate) struct UnsettledList(VecDeque<Unsettled>);

impl UnsettledList {
    /// Adds a delivery whose tag is above all others.
    pub(crate) fn push(&mut self, unsettled: Unsettled) {
        self.0.push_back(unsettled);
    }

    /// Takes everything.
    pub(crate) fn take_all(&mut self) -> Vec<Unsettled> {
        std::mem::take(&mut self.0).into()
    }

    /// Puts back what was taken and is not settled after all.
    pub(super) fn restore(&mut self, taken: Vec<Unsettled>) {
        if !taken.is_empty() {
            self.0.extend(taken);
            self.0.make_contiguous().sort_unstable_by_key(|one| one.tag);
        }
    }

    fn take_one(&mut self, tag: u64) -> Option<Unsettled> {
        let index = self.0.binary_search_by_key(&tag, |one| one.tag).ok()?;
        self.0.remove(index)
    }

    fn take_up_to(&mut self, tag: u64) -> Vec<Unsettled> {
        let count = self.0.partition_point(|one| one.tag <= tag);
        self.0.drain(..count).collect()
    }
}

impl Channel {
    pub(super) fn ack(&mut self, ack: &basic::Ack, peer: &mut Peer) -> Result<(), Refusal> {
        self.end(ack.delivery_tag, ack.multiple, Outcome::Done, peer)
    }

    pub(super) fn nack(&mut self, nack: &basic::Nack, peer: &mut Peer) -> Result<(), Refusal> {
        self.end(
            nack.delivery_tag,
            nack.multiple,
            refused(nack.requeue),
            peer,
        )
    }

    pub(super) fn reject(
        &mut self,
        reject: &basic::Reject,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        self.end(reject.delivery_tag, false, refused(reject.requeue), peer)
    }

    pub(super) fn recover(
        &mut self,
        recover: &basic::Recover,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        self.requeue_all(recover.requeue, peer)?;
        peer.out.method(self.number, basic::RecoverOk {})
    }

    //= basic.recover.requeue: everything unsettled on the channel goes back to its queue.
    pub(super) fn requeue_all(&mut self, requeue: bool, peer: &mut Peer) -> Result<(), Refusal> {
        if !requeue {
            return Err(ReplyCode::NotImplemented.because("requeue=false"));
        }
        let held: Vec<_> = self.unsettled.take_all().iter().map(|one| one.id).collect();
        peer.settle(&held, Outcome::Returned)
    }

    //= basic.ack.multiple: tag 0 with multiple means everything; another unknown tag is an error.
    fn end(
        &mut self,
        tag: u64,
        multiple: bool,
        outcome: Outcome,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        if !multiple {
            let taken = self.unsettled.take_one(tag).ok_or_else(|| unknown(tag))?;
            return match self.tx {
                // Nearly every settlement is this one: no list is made for it.
                None => peer.settle(&[taken.id], outcome),
                Some(_) => self.settle(vec![taken], outcome, peer),
            };
        }
        let taken = match tag {
            0 => self.unsettled.take_all(),
            tag => self.unsettled.take_up_to(tag),
        };
        if taken.is_empty() && tag != 0 {
            return Err(unknown(tag));
        }
        self.settle(taken, outcome, peer)
    }
}

fn refused(requeue: bool) -> Outcome {
    match requeue {
        true => Outcome::Returned,
        false => Outcome::Dead(DeadReason::Rejected),
    }
}

fn unknown(tag: u64) -> Refusal {
    ReplyCode::PreconditionFailed.because(format!("unknown delivery tag {tag}"))
}
