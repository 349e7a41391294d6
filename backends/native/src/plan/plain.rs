//! The usual append, which a wide fan-out is at each of its targets: judged by the entity alone. A sketch
//! is for what comes later in the unit; where nothing does, it is left out.

use std::sync::Arc;

use fairlead_canon::Batch;
use fairlead_ports::terms::{keyed, transacted};
use fairlead_ports::{Place, Placed, Placement, Target};

use super::draft::fits;
use super::{Planner, fenced};
use crate::entity::{Content, Entity};
use crate::state::Known;

impl Planner<'_> {
    /// Of an append, the entities in memory that may be judged without a sketch; nothing where one is
    /// needed.
    pub(super) fn plain(&mut self, to: &[Target], batch: &Batch) -> Known {
        let is_last = self.behind == 0 && self.draft.is_blank();
        if is_last && batch.stamp.is_none() && self.draft.are_distinct(to) {
            return self.state.in_memory(to);
        }
        self.draft.expect(to.len());
        Known::new()
    }

    /// Where the batch goes in an entity, if nothing speaks against it or has to make room.
    pub(super) fn place_plain(
        &mut self,
        target: &Target,
        batch: &Batch,
        known: Arc<Entity>,
    ) -> Option<(Placed, Arc<Entity>)> {
        let content = known.content.lock();
        if !takes(&content, target, batch) {
            return None;
        }
        self.draft.append_plain(content.spec.sync);
        let (entity, base) = (target.entity, content.end);
        drop(content);
        let how = Placement::New;
        Some((Placed { entity, base, how }, known))
    }
}

/// Whether an entity takes a batch at its end by what is in memory of it: nothing speaks against it, no
/// producer is to be known, and nothing has to make room.
pub(crate) fn takes(content: &Content, target: &Target, batch: &Batch) -> bool {
    let spec = &content.spec;
    matches!(target.place, Place::Next | Place::IfRoom)
        && batch.stamp.is_none()
        && fenced(spec.tag, target.tag).is_ok()
        && keyed(spec.kind, batch).is_ok()
        && transacted(spec.kind, batch).is_ok()
        && !content.is_worn()
        && fits((content.count(), content.bytes()), spec, batch)
}
