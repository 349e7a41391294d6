//! Subscriptions with a queue of their own: a shared one (`$share/<group>/<filter>`), on which the
//! members of a group take turns, or where that was chosen the first one has all until it leaves, and an
//! exclusive one (`$exclusive/<filter>`), which one client has
//! at a time.
//!
//! The queue is named as the filter is written. It begins with the group's first member and ends
//! with the last one that is connected. A message of QoS 2 goes from there into the mailbox of the
//! member whose turn it is (`deliver.rs`).

use std::sync::Arc;

use fairlead_canon::{Class, Kind};
use fairlead_kernel::{
    Attach, AttachmentId, Binding, Caller, Change, Destination, Error, Family, Lifetime, Match,
    NewStream, Reason, Source, StreamKey,
};

use super::subscribe::in_memory;
use super::subscriptions::Entry;
use crate::map::ORIGIN;
use crate::settings::Settings;

const SHARED: &str = "$share/";
const EXCLUSIVE: &str = "$exclusive/";

/// How often a group that ends at the very moment is made again: each time, somebody else has come
/// and gone in between.
const JOIN_TRIES: usize = 16;

/// What a member of a group is given.
#[derive(Clone, Debug)]
pub(super) struct Room {
    /// Messages that it may hold.
    pub(super) window: u16,
    /// Of the group's queue, if this member makes it.
    pub(super) settings: Arc<Settings>,
}

/// Whether a filter asks for a share.
pub(super) fn is_shared(filter: &str) -> bool {
    filter.starts_with(SHARED)
}

/// Whether nobody else may have a subscription with this filter.
pub(super) fn is_exclusive(filter: &str) -> bool {
    filter.starts_with(EXCLUSIVE)
}

/// Whether a subscription has a queue of its own.
pub(super) fn has_queue(filter: &str) -> bool {
    is_shared(filter) || is_exclusive(filter)
}

/// The name of the group.
fn name(filter: &str) -> Option<&str> {
    let (group, _) = filter.strip_prefix(SHARED)?.split_once('/')?;
    Some(group)
}

/// The filter inside a shared or exclusive one; `None` when it is not written like that.
pub(super) fn inner(filter: &str) -> Option<&str> {
    if let Some(inner) = filter.strip_prefix(EXCLUSIVE) {
        return (!inner.is_empty()).then_some(inner);
    }
    let (group, inner) = filter.strip_prefix(SHARED)?.split_once('/')?;
    //= MQTT-4.8.2-1: the group has a name, without wildcards, and
    //= MQTT-4.8.2-2: a filter follows it.
    let is_named = !group.is_empty() && !group.contains(['+', '#']);
    (is_named && !inner.is_empty()).then_some(inner)
}

/// Becomes a member of a group, which is made if there is none. `Locked`: another client has it for
/// itself.
pub(super) async fn join(
    caller: &mut Caller,
    entry: &Entry,
    room: &Room,
) -> Result<AttachmentId, Error> {
    let key = StreamKey::new(Family::Queue, entry.filter.clone());
    let mut tries = 0..JOIN_TRIES;
    loop {
        if caller.topology(|topology| topology.stream(&key).is_none()) {
            match caller.declare(group(&key, entry, &room.settings)).await {
                Ok(_) => {}
                // Another member was faster.
                Err(error) if error.reason == Reason::Exists => {}
                Err(error) => return Err(error),
            }
        }
        let attach = Attach {
            is_exclusive: is_exclusive(&entry.filter),
            ..Attach::new(Source::Stream(key.clone()), room.window.into())
        };
        match caller.attach(attach).await {
            // It went with its last member in between.
            Err(error) if error.reason == Reason::Unknown && tries.next().is_some() => {}
            joined => return joined,
        }
    }
}

fn group(key: &StreamKey, entry: &Entry, settings: &Settings) -> Vec<Change> {
    let is_sticky = name(&entry.filter).is_some_and(|name| settings.sticky_groups.has(name));
    let queue = NewStream {
        lifetime: Lifetime::LastConsumer,
        limits: in_memory(settings),
        settings: fairlead_kernel::Settings {
            is_single_active: is_sticky,
            ..fairlead_kernel::Settings::default()
        },
        ..NewStream::new(key.clone(), Kind::Queue, Class::Memory, ORIGIN)
    };
    let bind = entry.patterns.iter().map(|pattern| {
        Change::Bind(Binding {
            from: pattern.realm,
            on: Match::Pattern(pattern.clone()),
            to: Destination::Stream(key.clone()),
            no_local: false,
            document: entry.filter.clone().into_bytes(),
        })
    });
    std::iter::once(Change::CreateStream(queue))
        .chain(bind)
        .collect()
}
