//! What most units are: one message for one entity that has room. It is judged and applied as it
//! stands, without the plan and the draft by which [`crate::plan`] looks at several operations.

use std::sync::Arc;

use fairlead_canon::{Batch, Kind, Offset, Promise, SyncMode};
use fairlead_ports::terms::sane;
use fairlead_ports::{Committed, Op, Placed, Placement, Target, Unit};
use smallvec::smallvec;

use super::Sequencer;
use super::apply::Outlet;
use crate::entity::Entity;
use crate::plan::{Room, takes};
use crate::record::DataRef;

/// What is to be known of the entity of such a message.
struct Lone {
    entity: Arc<Entity>,
    base: Offset,
    kind: Kind,
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
        let lone = self.judge_lone(target, batch)?;
        let (id, base, sync) = (target.entity, lone.base, lone.sync);
        *job_sync = sync.min(*job_sync);
        // Of a log nothing is seen before it is written, whatever was promised.
        let promise = match lone.kind {
            Kind::Queue => unit.promise,
            Kind::Log | Kind::Latest => Promise::Durable,
        };
        let at = self.add(|out| {
            let data = DataRef {
                targets: &[(id, base)],
                batch,
                is_placed: false,
            };
            data.append_to(out);
        });
        self.keep_readable((at.lsn, batch), promise);
        let state = &self.shared.state;
        let appended = state.append_to((id, lone.entity), (at, base, batch));
        let mut outlet = Outlet {
            promise,
            sync,
            open: &mut self.open,
            shown: &mut self.shown,
        };
        outlet.add(appended);
        self.count(unit.promise);
        self.tell_shown();
        let how = Placement::New;
        let placed = Placed {
            entity: id,
            base,
            how,
        };
        Some(Committed {
            lsn: at.lsn,
            placed: smallvec![placed],
        })
    }

    fn judge_lone(&self, target: &Target, batch: &Batch) -> Option<Lone> {
        if self.open.room != Room::Free || sane(batch).is_err() {
            return None;
        }
        let entity = self.shared.state.entity(target.entity)?;
        let content = entity.content.lock();
        let (base, spec) = (content.end, content.spec);
        let is_taken = takes(&content, target, batch);
        drop(content);
        // Otherwise it may rest on what the index did not give.
        let is_sound = !self.shared.state.ground.is_faulty();
        (is_taken && is_sound).then(|| Lone {
            entity,
            base,
            kind: spec.kind,
            sync: self.shared.sync.max(spec.sync),
        })
    }
}
