//! Direct replies: a consumer without a queue, known by a name that nobody can guess.

use fairlead_canon::{Pattern, RealmId};
use fairlead_kernel::{Attach, AttachmentId, Settling, Source};

use super::Channel;
use crate::codec::{ShortStr, basic};
use crate::connection::{Consumer, Peer};
use crate::errors::{Refusal, ReplyCode};
use crate::map::queue_address;

/// The queue that is not one.
const DIRECT: &str = "amq.rabbitmq.reply-to";

/// What a name for direct replies begins with.
const TOKEN_PREFIX: &str = "amq.rabbitmq.reply-to.";

/// The consumer of direct replies on a channel.
#[derive(Debug)]
pub(super) struct ReplyConsumer {
    name: ShortStr,
    tag: ShortStr,
    attachment: AttachmentId,
}

/// Whether a name asks for direct replies.
pub(super) fn is_direct(name: &ShortStr) -> bool {
    name.as_bytes() == DIRECT
}

//= queue.declare.direct-reply-to: asked for passively, a reply name says whether somebody waits.
pub(super) fn is_reachable(name: &ShortStr, peer: &mut Peer) -> bool {
    let is_token = name.as_bytes().starts_with(TOKEN_PREFIX.as_bytes());
    let address = queue_address(name.as_bytes());
    is_direct(name) || is_token && address.is_ok_and(|address| peer.caller.is_bound(&address))
}

impl Channel {
    //= basic.consume.direct-reply-to: without acknowledgement, and once per channel.
    pub(super) async fn consume_replies(
        &mut self,
        consume: &basic::Consume,
        tag: ShortStr,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        if !consume.no_ack {
            let text = "reply consumer cannot acknowledge";
            return Err(ReplyCode::PreconditionFailed.because(text));
        }
        if self.reply.is_some() {
            let text = "reply consumer already set";
            return Err(ReplyCode::PreconditionFailed.because(text));
        }
        let name = peer.random_name(TOKEN_PREFIX);
        let address = queue_address(name.as_bytes())
            .map_err(|error| ReplyCode::InternalError.because(error.to_string()))?;
        let pattern = Pattern::exact(RealmId::QUEUES, &address.path);
        let attach = Attach {
            settling: Settling::OnDelivery,
            ..Attach::new(Source::Live(pattern), u32::MAX)
        };
        let attachment = peer.caller.attach(attach).await?;
        let consumer = Consumer {
            channel: self.number,
            tag: tag.clone(),
            acks: false,
            counts: false,
        };
        peer.consumers.insert(attachment, consumer);
        self.reply = Some(ReplyConsumer {
            name: ShortStr::cut(&name),
            tag,
            attachment,
        });
        Ok(())
    }

    /// The name under which replies reach this channel.
    pub(super) fn reply_name(&self) -> Result<ShortStr, Refusal> {
        let name = self.reply.as_ref().map(|reply| reply.name.clone());
        name.ok_or_else(|| {
            ReplyCode::PreconditionFailed.because("fast reply consumer does not exist")
        })
    }

    /// Whether that is the tag of the consumer of replies.
    pub(super) fn is_reply_tag(&self, tag: &ShortStr) -> bool {
        self.reply.as_ref().is_some_and(|reply| reply.tag == *tag)
    }

    pub(super) fn leave_reply(&mut self, peer: &mut Peer) {
        if let Some(reply) = self.reply.take() {
            peer.consumers.remove(&reply.attachment);
            peer.caller.detach(reply.attachment);
        }
    }
}
