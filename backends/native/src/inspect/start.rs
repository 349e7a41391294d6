//! Would a node start here?

use super::Inspection;
use crate::error::OpenError;
use crate::recovery::replay;
use crate::scan::Begin;
use crate::state::State;

/// Goes through what a start reads, as it does, and changes nothing.
pub(super) fn is_refused(inspection: &Inspection) -> Result<bool, OpenError> {
    // The superblock, the head of each file, the index as such: without one of them nothing starts.
    if !inspection.found.damages.is_empty() {
        return Ok(true);
    }
    let Some(state) = inspection.state()? else {
        return Ok(true);
    };
    match read(inspection, &state) {
        Ok(()) => Ok(has_missing_segments(inspection, &state)),
        Err(OpenError::Io { file, source }) => Err(OpenError::Io { file, source }),
        Err(_refused) => Ok(true),
    }
}

fn read(inspection: &Inspection, state: &State) -> Result<(), OpenError> {
    let (dir, files) = (&inspection.dir, &inspection.files);
    let begin = Begin::find(dir, files, state, inspection.proven)?;
    replay(dir, files, begin, state).map(drop)
}

fn has_missing_segments(inspection: &Inspection, state: &State) -> bool {
    let missing = inspection.sites().and_then(|sites| {
        let mut homes = state.ground.homes.lock();
        sites.adopt(&mut homes);
        sites.missing(&homes.segments())
    });
    missing.is_some()
}
