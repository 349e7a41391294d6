//! What has to follow once a commit has been answered: the dead are moved on, and so is what a full
//! queue has refused.

use std::sync::Arc;

use fairlead_canon::{Batch, EntityId};
use fairlead_ports::{Committed, Op, Placement, StoreError};

use crate::outbox::Committing;
use crate::undertaker::Undertaker;

/// Gathered while units are staged.
#[derive(Debug, Default)]
pub(crate) struct Aftermath {
    /// Messages of these entities die.
    dead: Vec<EntityId>,
    /// Some of their targets want what they refuse elsewhere.
    refusable: Vec<Refusable>,
}

/// A publish that a target may refuse.
#[derive(Debug)]
struct Refusable {
    /// Which of the units.
    unit: usize,
    appends: Vec<(EntityId, Batch)>,
}

impl Aftermath {
    /// Messages of this entity die by what is staged.
    pub(crate) fn note_dead(&mut self, entity: EntityId) {
        if !self.dead.contains(&entity) {
            self.dead.push(entity);
        }
    }

    /// One of the targets of this unit takes what it refuses elsewhere.
    pub(crate) fn note_refusable(&mut self, unit: usize, ops: &[Op]) {
        let mut appends = Vec::new();
        for op in ops {
            if let Op::Append { to, batch } = op {
                appends.extend(to.iter().map(|target| (target.entity, batch.clone())));
            }
        }
        self.refusable.push(Refusable { unit, appends });
    }

    /// The commit, and after its answer what has to follow.
    pub(crate) fn follow(self, commit: Committing, undertaker: &Arc<Undertaker>) -> Committing {
        let undertaker = Arc::clone(undertaker);
        Box::pin(async move {
            let results = commit.await;
            self.begin(&results, &undertaker);
            results
        })
    }

    fn begin(self, results: &[Result<Committed, StoreError>], undertaker: &Undertaker) {
        for Refusable { unit, appends } in self.refusable {
            let Some(Ok(committed)) = results.get(unit) else {
                continue;
            };
            // One was placed, or not, per target of the appends, in their order.
            for (placed, (entity, batch)) in committed.placed.iter().zip(appends) {
                if placed.how == Placement::Refused {
                    undertaker.refused(entity, batch);
                }
            }
        }
        undertaker.look_at(self.dead);
    }
}
