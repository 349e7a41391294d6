//! The usual append, which a wide fan-out is at each of its targets: judged by the entity alone. A sketch
//! is for what comes later in the unit; where nothing does, it is left out.

use std::sync::Arc;

use fairlead_canon::Batch;
use fairlead_ports::terms::{keyed, transacted};
use fairlead_ports::{Place, Placed, Placement, Target};

use super::draft::fits;
use super::{Planner, fenced};
use crate::entity::Entity;
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
        let spec = &content.spec;
        fenced(spec.tag, target.tag).ok()?;
        keyed(spec.kind, batch).ok()?;
        transacted(spec.kind, batch).ok()?;
        let is_usual = matches!(target.place, Place::Next | Place::IfRoom);
        let kept = (content.count(), content.bytes());
        if !is_usual || content.is_worn() || !fits(kept, spec, batch) {
            return None;
        }
        self.draft.append_plain(spec.sync);
        let (entity, base) = (target.entity, content.end);
        drop(content);
        let how = Placement::New;
        Some((Placed { entity, base, how }, known))
    }
}
