//! Shared subscriptions: the members of a group take turns on one queue.
//!
//! The queue is named as the filter is written. It begins with the group's first member and ends
//! with the last one that is connected. It is granted at most QoS 1: the state of a QoS 2 exchange
//! belongs to one session, and what it did not finish may go to another member.

use fairlead_canon::{Class, Kind};
use fairlead_kernel::{
    Attach, AttachmentId, Binding, Caller, Change, Destination, Error, Family, Lifetime, Match,
    NewStream, Reason, Source, StreamKey,
};

use super::subscribe::IN_MEMORY;
use super::subscriptions::Entry;
use crate::map::ORIGIN;

const ROOT: &str = "$share/";

/// Whether a filter asks for a share.
pub(super) fn is_shared(filter: &str) -> bool {
    filter.starts_with(ROOT)
}

/// The filter inside `$share/<group>/<filter>`; `None` when it is not written like that.
pub(super) fn inner(filter: &str) -> Option<&str> {
    let (group, inner) = filter.strip_prefix(ROOT)?.split_once('/')?;
    //= MQTT-4.8.2-1: the group has a name, without wildcards, and
    //= MQTT-4.8.2-2: a filter follows it.
    let is_named = !group.is_empty() && !group.contains(['+', '#']);
    (is_named && !inner.is_empty()).then_some(inner)
}

/// Becomes a member of a group, which is made if there is none.
pub(super) async fn join(
    caller: &mut Caller,
    entry: &Entry,
    window: u16,
) -> Result<AttachmentId, Error> {
    let key = StreamKey::new(Family::Queue, entry.filter.clone());
    if caller.topology(|topology| topology.stream(&key).is_none()) {
        match caller.declare(group(&key, entry)).await {
            Ok(_) => {}
            // Another member was faster.
            Err(error) if error.reason == Reason::Exists => {}
            Err(error) => return Err(error),
        }
    }
    caller
        .attach(Attach::new(Source::Stream(key), window.into()))
        .await
}

fn group(key: &StreamKey, entry: &Entry) -> Vec<Change> {
    let queue = NewStream {
        lifetime: Lifetime::LastConsumer,
        limits: IN_MEMORY,
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
