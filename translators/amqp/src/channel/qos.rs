//! How much may be on its way to consumers.

use std::sync::Arc;

use fairlead_kernel::Allowance;

use super::Channel;
use crate::codec::basic;
use crate::connection::Peer;
use crate::errors::{Refusal, ReplyCode};

/// The limits of a channel.
#[derive(Debug)]
pub(super) struct Prefetch {
    /// For consumers that start from here on; 0 is no limit.
    each: u16,
    /// For all consumers of the channel together.
    together: Arc<Allowance>,
}

impl Channel {
    //= basic.qos.global: without it the count holds for each consumer that is started afterwards,
    //= basic.qos.global: with it for all consumers of the channel together, also for those there are.
    pub(super) fn qos(&mut self, qos: &basic::Qos, peer: &mut Peer) -> Result<(), Refusal> {
        if qos.prefetch_size != 0 {
            let text = format!("prefetch_size!=0 ({})", qos.prefetch_size);
            return Err(ReplyCode::NotImplemented.because(text));
        }
        if qos.global {
            let max = match qos.prefetch_count {
                0 => u32::MAX,
                count => count.into(),
            };
            peer.caller.allow(&self.prefetch.together, max);
        } else {
            self.prefetch.each = qos.prefetch_count;
        }
        peer.out.method(self.number, basic::QosOk {})
    }
}

impl Prefetch {
    /// The window of a consumer that is about to start.
    pub(super) fn window(&self) -> u32 {
        match self.each {
            0 => UNLIMITED,
            count => count.into(),
        }
    }

    /// What its window shares with the other consumers of the channel.
    pub(super) fn together(&self) -> Arc<Allowance> {
        Arc::clone(&self.together)
    }
}

impl Default for Prefetch {
    fn default() -> Self {
        Self {
            each: 0,
            together: Arc::new(Allowance::new(u32::MAX)),
        }
    }
}

/// Stands for no limit: what a client that never acknowledges may hold, some tens of megabytes.
const UNLIMITED: u32 = 250_000;
