//! A channel: consumers, unsettled deliveries, confirms, and the message that is coming in.
//!
//! One file per class of methods; `publish.rs` puts messages together. Begin with [`Channel::on_method`].

mod basic;
mod consume;
mod exchange;
mod publish;
mod qos;
mod queue;
mod reply;
mod settle;

use fairlead_canon::Outcome;
use fairlead_kernel::AttachmentId;

use crate::codec::{Method, ShortStr, channel, confirm};
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

    /// Handles a method of the client.
    pub(crate) async fn on_method(
        &mut self,
        method: Method,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        if self.incoming.is_some() {
            let text = format!("{} within a message", method.name());
            return Err(ReplyCode::UnexpectedFrame.because(text));
        }
        match method {
            Method::ChannelOpen(_) => {
                Err(ReplyCode::ChannelError.because("second 'channel.open' seen"))
            }
            Method::ChannelFlow(flow) => self.flow(&flow, peer),
            // The answer to a flow that was never asked for changes nothing.
            Method::ChannelFlowOk(_) => Ok(()),
            Method::ConfirmSelect(select) => self.select_confirms(&select, peer),
            Method::TxSelect(_) | Method::TxCommit(_) | Method::TxRollback(_) => {
                let text = format!("{}: transactions are not offered", method.name());
                Err(ReplyCode::NotImplemented.because(text))
            }
            Method::ExchangeDeclare(_)
            | Method::ExchangeDelete(_)
            | Method::ExchangeBind(_)
            | Method::ExchangeUnbind(_) => self.on_exchange(method, peer).await,
            Method::QueueDeclare(_)
            | Method::QueueBind(_)
            | Method::QueueUnbind(_)
            | Method::QueuePurge(_)
            | Method::QueueDelete(_) => self.on_queue(method, peer).await,
            method => self.on_basic(method, peer).await,
        }
    }

    /// A consumer's queue is gone.
    pub(crate) fn ended(&mut self, attachment: AttachmentId) {
        self.consumers
            .retain(|started| started.attachment != attachment);
    }

    /// Gives back what the channel holds.
    pub(crate) fn leave(mut self, peer: &mut Peer) -> Result<(), Refusal> {
        let held = self.unsettled.take_all();
        peer.settle(&held, Outcome::Returned)?;
        for started in &self.consumers {
            peer.consumers.remove(&started.attachment);
            peer.caller.detach(started.attachment);
        }
        self.leave_reply(peer);
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

    fn select_confirms(
        &mut self,
        select: &confirm::Select,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        self.confirms.get_or_insert(0);
        match select.no_wait {
            true => Ok(()),
            false => peer.out.method(self.number, confirm::SelectOk {}),
        }
    }
}
