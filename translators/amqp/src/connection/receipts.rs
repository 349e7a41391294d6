//! Receipts of the kernel as confirms and returns, in publish order.

use std::collections::VecDeque;

use fairlead_kernel::{Error, Pending, Receipt};

use crate::codec::{ContentHeader, ShortStr, basic};
use crate::errors::{Refusal, ReplyCode};
use crate::transport::Output;

/// A publish whose receipt somebody waits for.
#[derive(Debug)]
pub(crate) struct Awaited {
    /// Its number in the kernel.
    pub(crate) pending: Pending,
    /// Its channel.
    pub(crate) channel: u16,
    /// What its channel is told.
    pub(crate) then: Then,
    /// The message, when it was mandatory.
    pub(crate) mandatory: Option<Box<Returned>>,
}

/// What a channel is told when a receipt has come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    /// Nothing.
    Nothing,
    /// That this publish was kept, or not.
    Confirm(u64),
    /// That its transaction took effect.
    CommitOk,
}

/// How the transaction of a channel ended.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) channel: u16,
    pub(crate) result: Result<(), Error>,
}

/// A message that goes back to its publisher if it reaches no queue.
#[derive(Debug)]
pub(crate) struct Returned {
    /// As published.
    pub(crate) exchange: ShortStr,
    /// As published.
    pub(crate) routing_key: ShortStr,
    /// As published.
    pub(crate) header: ContentHeader,
    /// As published.
    pub(crate) body: bytes::Bytes,
}

/// What is awaited, and confirms that were not written yet.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    awaited: VecDeque<Awaited>,
    run: Option<Run>,
}

/// Confirms of one channel that follow each other and become one.
#[derive(Clone, Copy, Debug)]
struct Run {
    channel: u16,
    last: u64,
    count: u64,
}

impl Receipts {
    /// Waits for one more.
    pub(crate) fn push(&mut self, awaited: Awaited) {
        self.awaited.push_back(awaited);
    }

    /// Whether nothing is awaited.
    pub(crate) fn is_empty(&self) -> bool {
        self.awaited.is_empty()
    }

    /// Forgets what a channel that is gone waited for.
    pub(crate) fn forget(&mut self, channel: u16) {
        self.awaited.retain(|awaited| awaited.channel != channel);
        self.run = self.run.filter(|run| run.channel != channel);
    }

    /// A receipt has come; they come in the order in which they were asked for.
    pub(crate) fn receipt(
        &mut self,
        pending: Pending,
        result: Result<Receipt, Error>,
        out: &mut Output,
    ) -> Result<Option<Decided>, Refusal> {
        let is_next = |awaited: &mut Awaited| awaited.pending == pending;
        let Some(awaited) = self.awaited.pop_front_if(is_next) else {
            return Ok(None);
        };
        let channel = awaited.channel;
        if let Ok(receipt) = &result
            && let Some(returned) = awaited.mandatory.filter(|_| receipt.matched == 0)
        {
            self.write(out)?;
            returned.write(channel, out)?;
        }
        match (awaited.then, result) {
            (Then::Nothing, _) => {}
            (Then::Confirm(tag), Ok(_)) => self.confirm(channel, tag, out)?,
            (Then::Confirm(tag), Err(error)) => {
                tracing::debug!(%error, "a publish was not kept");
                self.write(out)?;
                nack(channel, tag, out)?;
            }
            (Then::CommitOk, result) => {
                let result = result.map(drop);
                return Ok(Some(Decided { channel, result }));
            }
        }
        Ok(None)
    }

    /// Writes the confirms that have gathered.
    pub(crate) fn write(&mut self, out: &mut Output) -> Result<(), Refusal> {
        let Some(run) = self.run.take() else {
            return Ok(());
        };
        let ack = basic::Ack {
            delivery_tag: run.last,
            multiple: run.count > 1,
        };
        out.method(run.channel, ack)
    }

    fn confirm(&mut self, channel: u16, tag: u64, out: &mut Output) -> Result<(), Refusal> {
        // Everything below `tag` on this channel was answered before, so one confirm may cover it.
        if let Some(run) = self.run.as_mut().filter(|run| run.channel == channel) {
            run.last = tag;
            run.count += 1;
            return Ok(());
        }
        self.write(out)?;
        self.run = Some(Run {
            channel,
            last: tag,
            count: 1,
        });
        Ok(())
    }
}

fn nack(channel: u16, delivery_tag: u64, out: &mut Output) -> Result<(), Refusal> {
    let nack = basic::Nack {
        delivery_tag,
        ..basic::Nack::default()
    };
    out.method(channel, nack)
}

impl Returned {
    //= basic.publish.mandatory: a message that reaches no queue goes back to its publisher.
    fn write(mut self, channel: u16, out: &mut Output) -> Result<(), Refusal> {
        let method = basic::Return {
            reply_code: ReplyCode::NoRoute.number(),
            reply_text: ShortStr::from_static(ReplyCode::NoRoute.word()),
            exchange: self.exchange,
            routing_key: self.routing_key,
        };
        // It came in one frame, so it goes out in one.
        out.content(channel, method, &mut self.header, &self.body)
            .map(drop)
    }
}
