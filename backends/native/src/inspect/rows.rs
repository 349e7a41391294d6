//! Reading everything that the index says, and computing again what can be: the rows of each entity,
//! the sizes that it claims, what log files are needed for, and which documents are due.

use std::path::Path;

use fairlead_canon::EntityId;

use super::report::{Damage, Report};
use crate::entity::{Content, Source, each};
use crate::ground::Uses;
use crate::index::{KvError, rows};
use crate::state::State;

/// Adds what is wrong with an index, as it lies there, to the report.
pub(super) fn check(path: &Path, state: &State, report: &mut Report) {
    let mut found = |what, entity: Option<EntityId>| {
        let mut damage = Damage::new(path.into(), 0, what);
        damage.entities.extend(entity.map(|id| (id, None)));
        report.damages.push(damage);
    };
    let Ok(entities) = state.entities() else {
        return found("the index: rows of entities", None);
    };
    let mut uses = Uses::default();
    let mut is_whole = true;
    for id in entities {
        if is_entity_sound(state, id, &mut uses).is_err() {
            is_whole = false;
            found("the index: rows of an entity", Some(id));
        }
    }
    state.graves().each(&mut |id, content| {
        if content.verify(&mut uses).is_err() {
            is_whole = false;
            found("the index: rows of a deleted entity", Some(id));
        }
    });
    // What is missing above is missing here as well.
    if is_whole && uses != *state.ground.uses.lock() {
        found("the index: what log files are needed for", None);
    }
    if !matches!(are_documents_sound(state), Ok(true)) {
        found("the index: documents, and when they are due", None);
    }
}

fn is_entity_sound(state: &State, entity: EntityId, uses: &mut Uses) -> Result<(), KvError> {
    let ground = std::sync::Arc::clone(&state.ground);
    let loaded = Content::load(Source { ground, entity })?;
    let missing = || KvError::damaged(&rows::entity(entity), "no row");
    loaded.ok_or_else(missing)?.verify(uses)
}

fn are_documents_sound(state: &State) -> Result<bool, KvError> {
    let (mut said, mut listed) = (0_u64, 0_u64);
    let documents = state.documents.lock();
    documents.all(&mut |_, document| said += u64::from(document.due.is_some()))?;
    each(&state.ground.index, &rows::all_due(), &mut |key, _| {
        listed += 1;
        let (at, space, key) = rows::due_in(key)?;
        let document = documents.get(space, key)?;
        (document.due == Some(at)).then_some(())
    })?;
    Ok(said == listed)
}
