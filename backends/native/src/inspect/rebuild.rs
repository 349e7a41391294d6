//! A new index in place of one that is damaged or missing.

use std::io;

use super::Inspection;
use crate::error::OpenError;
use crate::index::{self, Index};
use crate::lsn::FileNo;
use crate::superblock::{self, SuperblockFile};

/// What a damaged index is kept as: nobody reads it, but it is not ours to destroy.
const NAME_DAMAGED: &str = "index.redb.damaged";

/// The new one is empty: the next start reads the whole log, which must begin at its beginning.
pub(super) fn rebuild(inspection: &Inspection) -> Result<(), OpenError> {
    if inspection.state()?.is_some() {
        let what = "the index is whole: there is nothing to be made anew";
        return Err(OpenError::Setting { what });
    }
    let numbers = inspection.files.iter().map(|file| file.number);
    let expected = std::iter::successors(Some(FileNo::FIRST), |number| Some(number.next()));
    let is_from_the_beginning = !inspection.files.is_empty()
        && numbers
            .zip(expected)
            .all(|(number, expected)| number == expected);
    if !is_from_the_beginning {
        let what = "the log does not go back to its beginning any more: restore a backup";
        return Err(OpenError::Setting { what });
    }
    let (vfs, home) = (inspection.vfs.as_ref(), inspection.home());
    let missing = || OpenError::Missing {
        file: home.join(superblock::NAME),
    };
    let superblock = SuperblockFile::open(vfs, home)?.ok_or_else(missing)?;
    let path = home.join(index::NAME);
    let moved = match vfs.rename(&path, &home.join(NAME_DAMAGED)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        moved => moved.and_then(|()| vfs.sync_dir(home)),
    };
    moved.map_err(|error| OpenError::io(&path, error))?;
    Index::create(vfs, home, superblock.content.log)?.close();
    Ok(())
}
