//! Bringing the index up to some frame of the log, while the engine goes on.
//!
//! The engine ends a generation at a frame and hands over what changed in it. Once that frame is
//! durable, each changed entity is captured, by whoever comes first: this, or the engine before it
//! changes the entity again. Then everything is written in one durable step, with the frame up to
//! which it is applied. Log files below that frame that nothing refers to any more are free.

mod desk;
mod thread;

use std::collections::BTreeSet;
use std::sync::Arc;

use fairlead_canon::EntityId;
use fairlead_ports::Lsn;

use crate::documents::Layer;
use crate::entities::Changed;
use crate::ground::Uses;
use crate::homes::Homes;
use crate::index::{Applied, Batch, KvError, rows};
use crate::lsn::FileNo;
use crate::seal::{View, moved};
use crate::state::State;
use crate::txn::OpenTxns;

pub(crate) use desk::Desk;
pub(crate) use thread::Checkpointer;

/// What changed in one generation.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    generation: u64,
    /// The last frame of it.
    pub(crate) frame: Lsn,
    entities: Vec<Changed>,
    documents: Arc<Layer>,
    uses: Uses,
    homes: Homes,
    open_txns: OpenTxns,
    moved: BTreeSet<EntityId>,
}

impl Checkpoint {
    /// Ends the generation; `frame` is the last one that was applied. Called by the engine, between
    /// frames and not before the last checkpoint is written.
    pub(crate) fn begin(state: &State, frame: Lsn) -> Self {
        Self {
            generation: state.ground.next_generation(),
            frame,
            entities: state.take_changed(),
            documents: state.documents.lock().freeze(),
            uses: state.ground.uses.lock().clone(),
            homes: state.ground.homes.lock().clone(),
            open_txns: state.ground.open_txns.lock().clone(),
            moved: state.ground.moved.lock().all(),
        }
    }

    /// Writes it. The frame must be durable, and `applied` say so of it.
    pub(crate) fn write(mut self, state: &State, applied: &Applied) -> Result<View, KvError> {
        let mut batch = Batch::default();
        // Equal numbers stay in order: one may be deleted and made anew.
        self.entities.sort_by_key(|(id, _)| *id);
        for (id, entity) in &self.entities {
            let captured = entity.content.lock().take(self.generation);
            if let Some(captured) = captured {
                captured.write(*id, &mut batch);
            }
        }
        self.documents.write(&state.ground, &mut batch)?;
        self.uses.write(&mut batch);
        state.ground.write_homes(&self.homes, &mut batch);
        state.ground.write_txns(&self.open_txns, &mut batch);
        moved::write(&self.moved, &mut batch);
        applied.write(&mut batch);
        if state.ground.is_faulty() {
            return Err(KvError::Damaged {
                what: "it failed before".into(),
            });
        }
        state.ground.index.checkpoint(batch)?;
        state.ground.set_written_homes(&self.homes);
        state.ground.set_written_txns(self.open_txns);
        state.ground.set_durable(self.generation);
        state.documents.lock().thaw();
        state.written(self.entities);
        Ok(View {
            uses: self.uses,
            homes: self.homes,
            applied: applied.frame,
        })
    }
}

impl Uses {
    /// Replaces the rows of all files.
    fn write(&self, batch: &mut Batch) {
        batch.delete_all(rows::files());
        for (number, needed) in &self.0 {
            batch.put(rows::file(*number), needed.encode());
        }
    }

    /// Whether nothing refers to a file.
    pub(crate) fn is_free(&self, number: FileNo) -> bool {
        !self.0.contains_key(&number)
    }
}
