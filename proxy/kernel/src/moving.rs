//! Declarations that give streams another class, for which what these hold may have to be copied: others
//! go on meanwhile, unless they concern the same streams.

use std::collections::VecDeque;

use fairlead_topology::{Change, Configure, Destination, StreamKey, Topology};
use tokio::task::{Id, JoinSet};

use crate::registrar::Request;

/// Declarations that wait for others to end; beyond it all wait.
const HELD_MAX: usize = 1_024;

/// What is under way, and who waits for it.
#[derive(Default)]
pub(crate) struct Moving {
    tasks: JoinSet<()>,
    streams: Vec<(Id, Vec<StreamKey>)>,
    held: VecDeque<Request>,
}

impl Moving {
    /// Whether changes have to wait, since they concern what is under way.
    pub(crate) fn concerns(&self, changes: &[Change]) -> bool {
        let mut moved = self.streams.iter().flat_map(|(_, keys)| keys);
        moved.any(|key| changes.iter().any(|change| concerns(change, key)))
    }

    /// Lets a declaration of these streams go on by itself.
    pub(crate) fn start(
        &mut self,
        streams: Vec<StreamKey>,
        end: impl Future<Output = ()> + Send + 'static,
    ) {
        let task = self.tasks.spawn(end);
        self.streams.push((task.id(), streams));
    }

    /// Has a declaration wait until one of those ends.
    pub(crate) fn hold(&mut self, request: Request) {
        self.held.push_back(request);
    }

    pub(crate) fn has_room(&self) -> bool {
        self.held.len() < HELD_MAX
    }

    /// Those who may go on, in order, once one has ended; `None` when nothing is under way. Nothing is
    /// lost when this is dropped before.
    pub(crate) async fn ended(&mut self) -> Option<VecDeque<Request>> {
        let ended = match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => id,
            Err(panicked) => panicked.id(),
        };
        self.streams.retain(|(id, _)| *id != ended);
        Some(std::mem::take(&mut self.held))
    }
}

/// The streams that get another class by these changes; none where there are others among them.
pub(crate) fn moved(changes: &[Change], topology: &Topology) -> Vec<StreamKey> {
    let mut moved = Vec::new();
    for change in changes {
        let Change::Configure(Configure { key, class, .. }) = change else {
            return Vec::new();
        };
        let old = topology.stream(key).map(|stream| stream.class);
        if old.is_some_and(|old| old != *class) {
            moved.push(key.clone());
        }
    }
    moved
}

/// Whether a change could not be told from one of this stream, if that had to be taken back.
fn concerns(change: &Change, stream: &StreamKey) -> bool {
    match change {
        Change::CreateStream(new) => new.key == *stream,
        Change::AlterStream { key, .. }
        | Change::AddLanes { key, .. }
        | Change::Configure(Configure { key, .. })
        | Change::RemoveStream(key) => key == stream,
        // A binding is kept as long as what it leads to.
        Change::Bind(binding) | Change::Unbind(binding) => match &binding.to {
            Destination::Stream(key) => key == stream,
            Destination::Realm(_) => false,
        },
        // Every binding goes with it.
        Change::RemoveRealm(_) => true,
        Change::CreateRealm(_) | Change::PutEntry { .. } => false,
    }
}
