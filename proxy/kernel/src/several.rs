//! One message for several addresses: whatever is bound to more than one of them gets it once.

use std::collections::BTreeMap;
use std::sync::Arc;

use fairlead_canon::{Address, Headers};
use fairlead_topology::{Stream, StreamKey};

use crate::Caller;
use crate::live::Listener;
use crate::publish::Plan;

impl Caller {
    /// Where a message for all these addresses goes.
    pub(crate) fn plan_for_all(
        &mut self,
        addresses: &[Address],
        headers: Option<&Headers>,
    ) -> Arc<Plan> {
        match addresses {
            [only] => self.plan(only, headers),
            several => {
                let plans = several.iter().map(|address| self.plan(address, headers));
                Arc::new(merge(&plans.collect::<Vec<_>>()))
            }
        }
    }
}

fn merge(plans: &[Arc<Plan>]) -> Plan {
    let mut streams: BTreeMap<&StreamKey, (&Arc<Stream>, bool)> = BTreeMap::new();
    let mut listeners: BTreeMap<u64, Listener> = BTreeMap::new();
    for plan in plans {
        for (stream, no_local) in &plan.streams {
            let held = streams.entry(&stream.key).or_insert((stream, true));
            held.1 &= *no_local;
        }
        for listener in &plan.listeners {
            listeners
                .entry(listener.caller)
                .and_modify(|held| held.join(listener))
                .or_insert_with(|| listener.clone());
        }
    }
    let streams = streams.into_values();
    let streams = streams.map(|(stream, no_local)| (Arc::clone(stream), no_local));
    Plan::new(streams.collect(), listeners.into_values().collect())
}
