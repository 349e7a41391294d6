//! Sealed records that belong to another site since the class of their entity changed.

use std::collections::BTreeSet;

use crate::homes::{Home, Homes, Sealed, Site};
use crate::lsn::{FileNo, file_of};
use crate::state::State;

/// Files of which something has to leave a site.
#[derive(Debug, Default)]
pub(crate) struct Restless(BTreeSet<(FileNo, Site)>);

impl Restless {
    /// Adds what the changes of class since the last time disturb.
    pub(crate) fn learn(&mut self, state: &State, homes: &Homes) {
        let moved = state.ground.moved.lock().look();
        for id in moved {
            let Some(entity) = state.entity(id) else {
                continue;
            };
            let content = entity.content.lock();
            let from = Site::of_class(content.spec.class).other();
            let files = content.places().map(|at| file_of(at.lsn));
            let sealed = files.filter(|file| homes.of(*file).iter().any(|home| home.site == from));
            self.0.extend(sealed.map(|file| (file, from)));
        }
    }

    /// Whether something of a file has to leave the site of this segment.
    pub(super) fn has(&self, file: FileNo, home: &Home) -> bool {
        self.0.contains(&(file, home.site))
    }

    /// These segments were written anew.
    pub(crate) fn settle(&mut self, old: &[Home], sealed: &Sealed) {
        for (file, _) in &sealed.0 {
            for home in old {
                self.0.remove(&(*file, home.site));
            }
        }
    }

    /// Nothing of it is left, or can be moved.
    pub(crate) fn clear(&mut self, state: &State) {
        self.0.clear();
        state.ground.moved.lock().settle();
    }
}
