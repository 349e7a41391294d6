//! What most units are: one message for one entity that has room. It is judged and applied as it
//! stands, without the plan and the draft by which [`crate::plan`] looks at several operations.

use std::sync::Arc;

use fairlead_canon::{Batch, Offset, SyncMode};
use fairlead_ports::terms::{keyed, sane, transacted};
use fairlead_ports::{Committed, Op, Place, Placed, Placement, Target, Unit};

use super::Sequencer;
use crate::entity::{Content, Entity};
use crate::plan::{Room, fits};
use crate::record::DataRef;

/// What is to be known of the entity of such a message.
struct Lone {
    entity: Arc<Entity>,
    base: Offset,
    /// When what it does may be shown.
    sync: SyncMode,
}

impl Sequencer {
    /// Puts such a unit in order. `None`: it is another, or something speaks against it, and the plan says
    /// what. The mode in which its receipt is given weakens none in `job_sync`.
    pub(super) fn lone(&mut self, unit: &Unit, job_sync: &mut SyncMode) -> Option<Committed> {
        let [Op::Append { to, batch }] = &*unit.ops else {
            return None;
        };
        let [target] = &**to else { return None };
        let Lone { entity, base, sync } = self.judge_lone(target, batch)?;
        *job_sync = sync.min(*job_sync);
        let (id, promise) = (target.entity, unit.promise);
        let at = self.add(|out| {
            let data = DataRef {
                targets: &[(id, base)],
                batch,
                is_placed: false,
            };
            data.append_to(out);
        });
        self.keep_readable((at.lsn, batch), promise);
        let hidden = &mut self.open.stages.of(sync).hidden;
        let first = hidden.len();
        let state = &self.shared.state;
        state.append_to((id, entity), (at, base, batch), hidden);
        self.count(promise);
        self.hide(first, promise, sync);
        let how = Placement::New;
        let placed = Placed {
            entity: id,
            base,
            how,
        };
        Some(Committed {
            lsn: at.lsn,
            placed: std::iter::once(placed).collect(),
        })
    }

    fn judge_lone(&self, target: &Target, batch: &Batch) -> Option<Lone> {
        let is_usual = matches!(target.place, Place::Next | Place::IfRoom);
        if !is_usual || batch.stamp.is_some() || self.pool.room() != Room::Free {
            return None;
        }
        sane(batch).ok()?;
        let entity = self.shared.state.entity(target.entity)?;
        let content = entity.content.lock();
        let (base, sync) = (content.end, self.shared.sync.max(content.spec.sync));
        let is_taken = takes(&content, target, batch);
        drop(content);
        // Otherwise it may rest on what the index did not give.
        let is_sound = !self.shared.state.ground.is_faulty();
        (is_taken && is_sound).then_some(Lone { entity, base, sync })
    }
}

/// Whether an entity takes a batch at its end as it is.
fn takes(content: &Content, target: &Target, batch: &Batch) -> bool {
    let spec = &content.spec;
    spec.tag == target.tag
        && keyed(spec.kind, batch).is_ok()
        && transacted(spec.kind, batch).is_ok()
        && !content.is_worn()
        && fits((content.count(), content.bytes()), spec, batch)
}
