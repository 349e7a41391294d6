//! Starting and ending consumers.

use fairlead_kernel::{Attach, AttachmentId, Error, Reason, Settling, Source, StreamKey};

use super::{Channel, reply};
use crate::arguments::QueueArguments;
use crate::codec::{ShortStr, basic};
use crate::connection::{Consumer, Peer};
use crate::errors::{Refusal, ReplyCode};
use crate::exchanges::shown;
use crate::queues;

/// A consumer of this channel.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) tag: ShortStr,
    pub(super) attachment: AttachmentId,
    pub(super) queue: StreamKey,
}

impl Channel {
    pub(super) async fn consume(
        &mut self,
        consume: basic::Consume,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        if peer.consumers.len() >= Peer::CONSUMERS_MAX {
            let text = format!(
                "more than {} consumers on a connection",
                Peer::CONSUMERS_MAX
            );
            return Err(ReplyCode::NotAllowed.because(text));
        }
        let tag = self.consumer_tag(&consume, peer)?;
        if reply::is_direct(&consume.queue) {
            self.consume_replies(&consume, tag.clone(), peer).await?;
        } else {
            self.consume_queue(&consume, tag.clone(), peer).await?;
        }
        self.answer(
            consume.no_wait,
            basic::ConsumeOk { consumer_tag: tag },
            peer,
        )
    }

    pub(super) async fn cancel(
        &mut self,
        cancel: basic::Cancel,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        if self.is_reply_tag(&cancel.consumer_tag) {
            self.leave_reply(peer);
        }
        let mut of_tag = self.consumers.iter();
        if let Some(index) = of_tag.position(|started| started.tag == cancel.consumer_tag) {
            let started = self.consumers.remove(index);
            peer.consumers.remove(&started.attachment);
            // What it holds can still be settled.
            peer.caller.stop(started.attachment);
            queues::remove_if_left(&mut peer.caller, &started.queue).await?;
        }
        let consumer_tag = cancel.consumer_tag;
        self.answer(cancel.no_wait, basic::CancelOk { consumer_tag }, peer)
    }

    //= basic.consume.consumer-tag: unique in its channel; the server chooses one when it is empty.
    fn consumer_tag(&self, consume: &basic::Consume, peer: &Peer) -> Result<ShortStr, Refusal> {
        let tag = &consume.consumer_tag;
        if tag.is_empty() {
            return Ok(ShortStr::cut(&peer.random_name("amq.ctag-")));
        }
        let is_taken = self.consumers.iter().any(|started| started.tag == *tag);
        if is_taken || self.is_reply_tag(tag) {
            let text = format!("attempt to reuse consumer tag '{}'", shown(tag));
            return Err(ReplyCode::NotAllowed.because(text));
        }
        Ok(tag.clone())
    }

    async fn consume_queue(
        &mut self,
        consume: &basic::Consume,
        tag: ShortStr,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        let name = self.queue_name(consume.queue.clone())?;
        let stream = queues::require(&peer.caller, &name)?;
        let queue = stream.key.clone();
        let (window, settling, allowance) = match consume.no_ack {
            true => (u32::MAX, Settling::OnDelivery, None),
            false => {
                let together = self.prefetch.together();
                (self.prefetch.window(), Settling::Explicit, Some(together))
            }
        };
        let attach = Attach {
            settling,
            allowance,
            is_exclusive: consume.exclusive,
            priority: priority(consume, &name)?,
            ..Attach::new(Source::Stream(queue.clone()), window)
        };
        let attached = peer.caller.attach(attach).await;
        let attachment = attached.map_err(|error| in_use_or(error, &name))?;
        let acks = !consume.no_ack;
        let consumer = Consumer {
            channel: self.number,
            tag: tag.clone(),
            acks,
            counts: queues::counts_returns(&stream),
        };
        peer.consumers.insert(attachment, consumer);
        self.consumers.push(Started {
            tag,
            attachment,
            queue,
        });
        Ok(())
    }
}

//= basic.consume.priority: consumers of a lower priority are served while those of a higher one have no
//= basic.consume.priority: room; 0 unless it is said.
fn priority(consume: &basic::Consume, queue: &ShortStr) -> Result<i32, Refusal> {
    const OFFSET: &str = "x-stream-offset";
    let arguments = QueueArguments {
        table: &consume.arguments,
        queue,
    };
    if arguments.has(OFFSET) {
        return Err(arguments.foreign(OFFSET, "rabbit_classic_queue"));
    }
    let said = arguments.integer("x-priority")?.unwrap_or(0);
    // Nobody needs more steps than there are consumers.
    Ok(i32::try_from(said).unwrap_or(if said < 0 { i32::MIN } else { i32::MAX }))
}

/// The queue is nobody else's own, so when it is locked another consumer has it for itself.
fn in_use_or(error: Error, name: &ShortStr) -> Refusal {
    if error.reason == Reason::Locked {
        let text = format!("queue '{}' in vhost '/' in exclusive use", shown(name));
        return ReplyCode::AccessRefused.because(text);
    }
    error.into()
}
