//! Giving up the end of a log that is damaged.

use std::io;

use fairlead_ports::Lsn;

use super::Inspection;
use super::report::Cut;
use crate::error::OpenError;
use crate::log_file::LogFile;
use crate::lsn::{FileNo, file_of, position_of};
use crate::superblock::{self, SuperblockFile};
use crate::zeros;

/// First the superblock stops saying that more was durable, then everything that says so goes, the
/// end first. Wherever this stops, what is left is refused, or is done.
pub(super) fn truncate(inspection: &Inspection, lsn: Lsn, records: u64) -> Result<Cut, OpenError> {
    let cut = inspection.read(&mut |_| {})?.cut;
    let cut = cut.ok_or(OpenError::Setting {
        what: "no end of this log can be cut off to make it whole",
    })?;
    if (cut.lsn, cut.records) != (lsn, records) {
        return Err(OpenError::Price {
            lsn: cut.lsn.0,
            records: cut.records,
        });
    }
    let (vfs, home) = (inspection.vfs.as_ref(), inspection.home());
    let missing = || OpenError::Missing {
        file: home.join(superblock::NAME),
    };
    let mut superblock = SuperblockFile::open(vfs, home)?.ok_or_else(missing)?;
    let epoch = superblock.content.epoch;
    let done = superblock
        .write(epoch, lsn)
        .and_then(|()| remove_behind(inspection, file_of(lsn)))
        .and_then(|()| clear(inspection, lsn));
    done.map_err(|error| OpenError::io(home, error))?;
    Ok(cut)
}

fn remove_behind(inspection: &Inspection, last: FileNo) -> io::Result<()> {
    let (vfs, dir) = (inspection.vfs.as_ref(), &inspection.dir);
    let names = vfs.list(dir)?;
    let numbers = names.iter().filter_map(|name| FileNo::of_name(name));
    let mut behind: Vec<_> = numbers.filter(|number| *number > last).collect();
    behind.sort_unstable();
    for number in behind.into_iter().rev() {
        vfs.remove(&dir.join(number.name()))?;
        vfs.sync_dir(dir)?;
    }
    Ok(())
}

/// Everything in a file from there on becomes zeros.
fn clear(inspection: &Inspection, from: Lsn) -> io::Result<()> {
    let is_it = |file: &&LogFile| file.number == file_of(from);
    let Some(file) = inspection.files.iter().find(is_it) else {
        return Ok(());
    };
    zeros::write(file.file.as_ref(), position_of(from), file.bytes)?;
    file.file.sync()
}
