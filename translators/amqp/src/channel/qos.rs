//! How much may be on its way to consumers.

use super::Channel;
use crate::codec::basic;
use crate::connection::Peer;
use crate::errors::{Refusal, ReplyCode};

/// The limits of a channel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prefetch {
    /// For consumers that start from here on; 0 is no limit.
    each: u16,
    /// For all consumers of the channel together; 0 is no limit.
    together: u16,
}

impl Channel {
    //= basic.qos.global: without it the count holds for each consumer that is started afterwards,
    //= basic.qos.global: with it for all consumers of the channel together.
    pub(super) fn qos(&mut self, qos: &basic::Qos, peer: &mut Peer) -> Result<(), Refusal> {
        if qos.prefetch_size != 0 {
            let text = format!("prefetch_size!=0 ({})", qos.prefetch_size);
            return Err(ReplyCode::NotImplemented.because(text));
        }
        if qos.global {
            self.prefetch.together = qos.prefetch_count;
            self.share_credit(peer);
        } else {
            self.prefetch.each = qos.prefetch_count;
        }
        peer.out.method(self.number, basic::QosOk {})
    }

    /// The window of a consumer that is about to start.
    pub(super) fn first_window(&self) -> u32 {
        self.window(self.prefetch.each, self.consumers.len() + 1)
    }

    /// Divides the common limit among the consumers of the channel: each gets an equal part, at
    /// least one, so that together they never hold more than the limit and none is starved.
    pub(super) fn share_credit(&self, peer: &mut Peer) {
        if self.prefetch.together == 0 {
            return;
        }
        for started in self.consumers.iter().filter(|started| started.acks) {
            let window = self.window(started.prefetch, self.consumers.len());
            peer.caller.credit(started.attachment, window);
        }
    }

    /// What the consumer's own limit was when it started.
    pub(super) fn prefetch_each(&self) -> u16 {
        self.prefetch.each
    }

    fn window(&self, each: u16, consumers: usize) -> u32 {
        let own = limit(each);
        let consumers = u32::try_from(consumers).unwrap_or(u32::MAX);
        match limit(self.prefetch.together) {
            UNLIMITED => own,
            together => own.min(together.checked_div(consumers).unwrap_or(together).max(1)),
        }
    }
}

/// Stands for no limit: what a client that never acknowledges may hold, some tens of megabytes.
const UNLIMITED: u32 = 250_000;

fn limit(count: u16) -> u32 {
    match count {
        0 => UNLIMITED,
        count => u32::from(count),
    }
}
