//! Transactions: publishes and settlements that wait for `tx.commit` and then take effect together.

use fairlead_canon::{Outcome, Promise};
use fairlead_kernel::{Content, DeliveryId, Publish, Settled, To, Transaction};

use super::publish::Whole;
use super::{Channel, Unsettled};
use crate::codec::{confirm, tx};
use crate::connection::{Awaited, Peer, Then};
use crate::errors::{Refusal, ReplyCode};

/// What a transactional channel has gathered.
#[derive(Debug, Default)]
pub(super) struct Tx {
    publishes: Vec<Whole>,
    settled: Vec<(Vec<Unsettled>, Outcome)>,
    /// What the transactions that are being kept have settled: given back if the channel ends first.
    committing: Vec<Unsettled>,
}

/// What a message that waits for its commit counts as among the bytes that come in: about what it takes.
fn bytes(held: &Whole) -> usize {
    size_of::<Whole>() + held.message.body_len() + held.message.headers.as_stored().len()
}

impl Channel {
    //= tx.select: it and confirm.select exclude each other on a channel.
    pub(super) fn select_tx(&mut self, peer: &mut Peer) -> Result<(), Refusal> {
        if self.confirms.is_some() {
            let text = "cannot switch from confirm to tx mode";
            return Err(ReplyCode::PreconditionFailed.because(text));
        }
        self.tx.get_or_insert_default();
        peer.out.method(self.number, tx::SelectOk {})
    }

    pub(super) fn select_confirms(
        &mut self,
        select: &confirm::Select,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        if self.tx.is_some() {
            let text = "cannot switch from tx to confirm mode";
            return Err(ReplyCode::PreconditionFailed.because(text));
        }
        self.confirms.get_or_insert(0);
        self.answer(select.no_wait, confirm::SelectOk {}, peer)
    }

    /// Keeps a message for the commit, or publishes it when the channel is not transactional.
    pub(super) fn hold(&mut self, whole: Whole, peer: &mut Peer) -> Result<(), Refusal> {
        let Some(tx) = &mut self.tx else {
            return self.hand_over(whole, peer);
        };
        if whole.delay.is_some() {
            let text = "delayed messages in transactions";
            return Err(ReplyCode::NotImplemented.because(text));
        }
        let bytes = peer.incoming_bytes + bytes(&whole);
        if bytes > Peer::INCOMING_BYTES_MAX {
            let text = "the transactions of this connection have become too large";
            return Err(ReplyCode::ContentTooLarge.because(text));
        }
        peer.incoming_bytes = bytes;
        tx.publishes.push(whole);
        Ok(())
    }

    /// Ends deliveries, with the commit on a transactional channel and at once on another.
    pub(super) fn settle(
        &mut self,
        taken: Vec<Unsettled>,
        outcome: Outcome,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        match &mut self.tx {
            Some(tx) => {
                tx.settled.push((taken, outcome));
                Ok(())
            }
            None => peer.settle(&ids(&taken), outcome),
        }
    }

    //= tx.commit: what was published and settled since the last commit takes effect as one durable
    //= tx.commit: unit, or nothing of it does and the channel is closed.
    pub(super) fn commit(&mut self, peer: &mut Peer) -> Result<(), Refusal> {
        let tx = self.tx.as_mut().ok_or_else(not_transactional)?;
        let publishes = std::mem::take(&mut tx.publishes);
        let settled = std::mem::take(&mut tx.settled);
        release(&publishes, peer);
        tx.committing
            .extend(settled.iter().flat_map(|(taken, _)| taken));
        let transaction = Transaction {
            publishes: publishes.iter().map(publish).collect(),
            settled: settled.iter().map(ended).collect(),
        };
        let transacted = peer.caller.transact(transaction)?;
        let number = self.number;
        let returnable = publishes.into_iter().zip(transacted.published);
        for (held, pending) in returnable.filter(|(held, _)| held.mandatory.is_some()) {
            peer.receipts.push(Awaited {
                pending,
                channel: number,
                then: Then::Nothing,
                mandatory: held.mandatory,
            });
        }
        peer.receipts.push(Awaited {
            pending: transacted.whole,
            channel: number,
            then: Then::CommitOk,
            mandatory: None,
        });
        Ok(())
    }

    /// The oldest transaction under way was kept.
    pub(crate) fn committed(&mut self, peer: &mut Peer) -> Result<(), Refusal> {
        if let Some(tx) = &mut self.tx {
            tx.committing.clear();
        }
        peer.out.method(self.number, tx::CommitOk {})
    }

    //= tx.rollback: what was published is forgotten; what was settled is unsettled again, under its tag.
    pub(super) fn rollback(&mut self, peer: &mut Peer) -> Result<(), Refusal> {
        let tx = self.tx.as_mut().ok_or_else(not_transactional)?;
        release(&std::mem::take(&mut tx.publishes), peer);
        for (taken, _) in std::mem::take(&mut tx.settled) {
            self.unsettled.restore(taken);
        }
        peer.out.method(self.number, tx::RollbackOk {})
    }

    /// Forgets the transaction with the channel; the deliveries that it leaves open.
    pub(super) fn leave_tx(&mut self, peer: &mut Peer) -> Vec<Unsettled> {
        let Some(tx) = self.tx.take() else {
            return Vec::new();
        };
        release(&tx.publishes, peer);
        let settled = tx.settled.into_iter().flat_map(|(taken, _)| taken);
        settled.chain(tx.committing).collect()
    }
}

fn publish(held: &Whole) -> Publish<'_> {
    Publish {
        to: To::Addresses(&held.addresses),
        content: Content::Message(held.message.clone()),
        promise: match held.mandatory {
            Some(_) => Promise::Accepted,
            None => Promise::Nothing,
        },
        with: Vec::new(),
        own_mailbox: None,
    }
}

fn ended((taken, outcome): &(Vec<Unsettled>, Outcome)) -> Settled {
    Settled {
        ids: ids(taken),
        outcome: *outcome,
    }
}

fn ids(taken: &[Unsettled]) -> Vec<DeliveryId> {
    taken.iter().map(|one| one.id).collect()
}

/// Messages that no longer wait do not count among the bytes that come in.
fn release(publishes: &[Whole], peer: &mut Peer) {
    peer.incoming_bytes -= publishes.iter().map(bytes).sum::<usize>();
}

//= tx.not-transactional: a commit or rollback without tx.select closes the channel with 406.
fn not_transactional() -> Refusal {
    ReplyCode::PreconditionFailed.because("channel is not transactional")
}
