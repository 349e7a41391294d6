//! A channel: consumers, unsettled deliveries, confirms, and the message that is coming in.
//!
//! One file per class of methods; `publish.rs` puts messages together. Begin with [`Channel::on_method`].

mod consume;
mod delay;
mod exchange;
mod get;
mod publish;
mod qos;
mod queue;
mod reply;
mod routes;
mod settle;
mod tx;

use fairlead_canon::Outcome;
use fairlead_kernel::AttachmentId;

use crate::codec::{Method, ShortStr, channel};
use crate::connection::Peer;
use crate::errors::{Refusal, ReplyCode};

pub(crate) use settle::{Unsettled, UnsettledList};

/// The state of an open channel.
#[derive(Debug)]
pub(crate) struct Channel {
    number: u16,
    /// What was delivered on it and has to be settled.
    pub(crate) unsettled: UnsettledList,
    last_delivery_tag: u64,
    /// The number of the last publish, once confirms were asked for.
    confirms: Option<u64>,
    /// What waits for a commit, once the channel is transactional.
    tx: Option<Box<tx::Tx>>,
    incoming: Option<publish::Incoming>,
    consumers: Vec<consume::Started>,
    /// The queue that was declared last, which the empty name stands for.
    last_queue: Option<ShortStr>,
    prefetch: qos::Prefetch,
    reply: Option<reply::ReplyConsumer>,
}

impl Channel {
    /// A fresh channel of that number.
    pub(crate) fn new(number: u16) -> Self {
        Self {
            number,
            unsettled: UnsettledList::default(),
            last_delivery_tag: 0,
            confirms: None,
            tx: None,
            incoming: None,
            consumers: Vec::new(),
            last_queue: None,
            prefetch: qos::Prefetch::default(),
            reply: None,
        }
    }

    /// The next delivery's tag.
    pub(crate) fn next_delivery_tag(&mut self) -> u64 {
        self.last_delivery_tag += 1;
        self.last_delivery_tag
    }

    /// Handles a method of the client; gives back one that has to wait.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the methods are the specification's; those that are not named here wait or are refused"
    )]
    pub(crate) fn on_method(
        &mut self,
        method: Method,
        peer: &mut Peer,
    ) -> Result<Option<Method>, Refusal> {
        if self.incoming.is_some() {
            let text = format!("{} within a message", method.name());
            return Err(ReplyCode::UnexpectedFrame.because(text));
        }
        let handled = match method {
            Method::BasicPublish(publish) => self.start_publish(publish, peer),
            Method::BasicAck(ack) => self.ack(&ack, peer),
            Method::BasicNack(nack) => self.nack(&nack, peer),
            Method::BasicReject(reject) => self.reject(&reject, peer),
            Method::BasicRecover(recover) => self.recover(&recover, peer),
            Method::BasicRecoverAsync(recover) => self.requeue_all(recover.requeue, peer),
            Method::BasicQos(qos) => self.qos(&qos, peer),
            Method::ConfirmSelect(select) => self.select_confirms(&select, peer),
            Method::ChannelFlow(flow) => self.flow(&flow, peer),
            // Neither our flow nor our cancel asks for an answer, but some clients give one.
            Method::ChannelFlowOk(_) | Method::BasicCancelOk(_) => Ok(()),
            Method::ChannelOpen(_) => {
                Err(ReplyCode::ChannelError.because("second 'channel.open' seen"))
            }
            Method::TxSelect(_) => self.select_tx(peer),
            Method::TxCommit(_) => self.commit(peer),
            Method::TxRollback(_) => self.rollback(peer),
            waiting => return Ok(Some(waiting)),
        };
        handled.map(|()| None)
    }

    /// Handles a method that looks at, takes from or changes what exists.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the methods are the specification's; what is left only a server says"
    )]
    pub(crate) async fn on_waiting(
        &mut self,
        method: Method,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        match method {
            Method::BasicGet(get) => self.get(get, peer).await,
            Method::BasicConsume(consume) => self.consume(consume, peer).await,
            Method::BasicCancel(cancel) => self.cancel(cancel, peer).await,
            Method::QueueDeclare(declare) => self.declare_queue(declare, peer).await,
            Method::QueueBind(bind) => self.bind_queue(bind, peer).await,
            Method::QueueUnbind(unbind) => self.unbind_queue(unbind, peer).await,
            Method::QueuePurge(purge) => self.purge_queue(purge, peer).await,
            Method::QueueDelete(delete) => self.delete_queue(delete, peer).await,
            Method::ExchangeDeclare(declare) => self.declare_exchange(declare, peer).await,
            Method::ExchangeDelete(delete) => self.delete_exchange(delete, peer).await,
            Method::ExchangeBind(bind) => self.bind_exchange(bind, peer).await,
            Method::ExchangeUnbind(unbind) => self.unbind_exchange(unbind, peer).await,
            method => {
                let text = format!("{} is not for a client to say here", method.name());
                Err(ReplyCode::CommandInvalid.because(text))
            }
        }
    }

    /// Answers a method, unless the client asked for no answer.
    fn answer(
        &self,
        no_wait: bool,
        method: impl Into<Method>,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        match no_wait {
            true => Ok(()),
            false => peer.out.method(self.number, method),
        }
    }

    /// A consumer's queue is gone.
    pub(crate) fn ended(&mut self, attachment: AttachmentId) {
        self.consumers
            .retain(|started| started.attachment != attachment);
    }

    /// Gives back what the channel holds.
    pub(crate) fn leave(mut self, peer: &mut Peer) -> Result<(), Refusal> {
        let left = self.leave_tx(peer);
        self.unsettled.restore(left);
        let held: Vec<_> = self.unsettled.take_all().iter().map(|one| one.id).collect();
        peer.settle(&held, Outcome::Returned)?;
        for started in &self.consumers {
            peer.consumers.remove(&started.attachment);
            peer.caller.detach(started.attachment);
        }
        self.leave_reply(peer);
        self.leave_incoming(peer);
        Ok(())
    }

    //= channel.flow: a client that cannot take more closes the channel; pausing one is not offered.
    fn flow(&self, flow: &channel::Flow, peer: &mut Peer) -> Result<(), Refusal> {
        if !flow.active {
            return Err(ReplyCode::NotImplemented.because("active=false"));
        }
        peer.out
            .method(self.number, channel::FlowOk { active: true })
    }
}
