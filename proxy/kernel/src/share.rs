//! Attachments of one caller that share room for unsettled deliveries.

use std::sync::Arc;

use fairlead_delivery::Allowance;

use crate::Caller;
use crate::consume::Attached;
use crate::hub::Hot;

impl Caller {
    /// Sets how many unsettled deliveries the attachments that share an allowance may hold together.
    pub fn allow(&mut self, allowance: &Arc<Allowance>, max: u32) {
        allowance.set_max(max);
        self.share_room(Some(allowance));
    }

    /// Room became free: the queues of those that share it give what they have, each in its turn, so
    /// that none takes all of it again and again.
    pub(crate) fn share_room(&mut self, allowance: Option<&Arc<Allowance>>) {
        let Some(allowance) = allowance else { return };
        let sharers: Vec<Arc<Hot>> = self
            .attachments
            .iter()
            .filter_map(|(_, attached)| match attached {
                Attached::Queue(queue) => {
                    let shared = queue.allowance.as_ref();
                    let is_one = shared.is_some_and(|shared| Arc::ptr_eq(shared, allowance));
                    is_one.then(|| Arc::clone(&queue.hot))
                }
                Attached::Live(_) => None,
            })
            .collect();
        let first = allowance.turn(sharers.len());
        let (late, early) = sharers.split_at(first);
        for hot in early.iter().chain(late) {
            hot.with(|_| ());
        }
    }
}
