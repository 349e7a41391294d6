//! What has to follow once a commit has been answered: the dead are moved on, and the room that was
//! taken for what is not kept is given back.

use std::sync::Arc;

use fairlead_canon::EntityId;
use fairlead_ports::{Commit, Committed, StoreError};

use crate::admission::Admitted;
use crate::undertaker::Undertaker;

/// Gathered while units are staged.
#[derive(Debug, Default)]
pub(crate) struct Aftermath {
    /// Messages of these entities die.
    dead: Vec<EntityId>,
    /// Room that was taken, and for which of the units.
    admitted: Vec<(usize, Admitted)>,
}

impl Aftermath {
    /// Messages of this entity die by what is staged.
    pub(crate) fn note_dead(&mut self, entity: EntityId) {
        if !self.dead.contains(&entity) {
            self.dead.push(entity);
        }
    }

    /// Room was taken for a unit.
    pub(crate) fn note_admitted(&mut self, unit: usize, admitted: Admitted) {
        self.admitted.push((unit, admitted));
    }

    /// A unit is not staged after all.
    pub(crate) fn forget_admitted(&mut self, unit: usize) {
        self.admitted.retain(|(of, _)| *of != unit);
    }

    /// The commit, and after its answer what has to follow.
    pub(crate) fn follow(self, commit: Commit, undertaker: &Arc<Undertaker>) -> Commit {
        let undertaker = Arc::clone(undertaker);
        Commit::steps(async move {
            let results = commit.await;
            self.begin(&results, &undertaker);
            results
        })
    }

    fn begin(self, results: &[Result<Committed, StoreError>], undertaker: &Undertaker) {
        for (unit, admitted) in self.admitted {
            if let Some(Ok(committed)) = results.get(unit) {
                admitted.kept_by(committed);
            }
        }
        undertaker.look_at(self.dead);
    }
}
