//! Reading a log after a stop: the longest chain of whole frames, or a refusal.
//!
//! The first frame that is not whole ends the log only if nothing proves that it had been durable:
//! each frame, and the superblock, says how far syncs had come when it was written. If any of them
//! was past that point, what lies there is damage and not a torn write.

use std::io;
use std::path::Path;

use bytes::Bytes;
use fairlead_ports::Lsn;

use crate::entity::Location;
use crate::error::OpenError;
use crate::file_wal::Chain;
use crate::frame::{HEADER_BYTES, Header};
use crate::log_file::LogFile;
use crate::lsn::{FileNo, PAGE, PAGE_BYTES, at, padded};
use crate::record::{self, Record};
use crate::superblock::{Epoch, LogId};
use crate::vfs::Vfs;
use crate::window::Window;

/// Where the log ends, and what of it is proven durable.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Index of the last file in use.
    pub(crate) file: usize,
    /// Where the next frame goes in it.
    pub(crate) position: u64,
    pub(crate) chain: Chain,
    /// Frames up to there.
    pub(crate) frames: u64,
    /// Whether a write was cut off there.
    pub(crate) is_torn: bool,
}

/// Opens the files of a log, in order. Every one must be there and be of this log.
pub(crate) fn open_files(vfs: &dyn Vfs, dir: &Path, log: LogId) -> Result<Vec<LogFile>, OpenError> {
    let names = vfs.list(dir).map_err(|error| OpenError::io(dir, error))?;
    let mut numbers: Vec<_> = names
        .iter()
        .filter_map(|name| FileNo::of_name(name))
        .collect();
    numbers.sort_unstable();
    let mut files = Vec::with_capacity(numbers.len());
    let mut expected = FileNo::FIRST;
    for number in numbers {
        let path = dir.join(expected.name());
        if number != expected {
            return Err(OpenError::Missing { file: path });
        }
        let file =
            LogFile::open(vfs, dir, number, log).map_err(|error| OpenError::io(&path, error))?;
        files
            .push(file.ok_or_else(|| OpenError::damaged(&path, 0, "the header of this log file"))?);
        expected = number.next();
    }
    Ok(files)
}

/// Visits every record of the log, oldest first, and finds its end. Changes nothing.
pub(crate) fn replay(
    dir: &Path,
    files: &[LogFile],
    proven: Lsn,
    visit: &mut dyn FnMut(Location, &Record),
) -> Result<Tail, OpenError> {
    let start = Chain {
        previous: Lsn(0),
        previous_crc: 0,
        epoch: Epoch(0),
        synced: proven,
    };
    let mut tail = Tail {
        file: 0,
        position: PAGE,
        chain: start,
        frames: 0,
        is_torn: false,
    };
    for (index, file) in files.iter().enumerate() {
        let path = dir.join(file.number.name());
        let mut window = Window::new(file);
        let mut position = PAGE;
        while let Some((header, records)) = chained(&mut window, file, position, &tail.chain)
            .map_err(|error| OpenError::io(&path, error))?
        {
            visit_records(&header, &records, visit)
                .ok_or_else(|| OpenError::damaged(&path, position, "a record of this version"))?;
            tail.frames += 1;
            tail.chain.previous = header.lsn;
            tail.chain.previous_crc = header.crc;
            tail.chain.epoch = header.epoch;
            tail.chain.synced = tail.chain.synced.max(header.synced);
            position += padded(u64::from(header.len));
        }
        if position == PAGE && index > 0 {
            break;
        }
        tail.file = index;
        tail.position = position;
    }
    refuse_if_proven(dir, files, &tail)?;
    tail.is_torn = is_torn(files, &tail).map_err(|error| OpenError::io(dir, error))?;
    Ok(tail)
}

/// Whether anything lies where the next frame goes: prepared files are zeros.
fn is_torn(files: &[LogFile], tail: &Tail) -> io::Result<bool> {
    let Some(last) = files.get(tail.file) else {
        return Ok(false);
    };
    let page = Window::new(last).get(tail.position, PAGE_BYTES)?;
    Ok(page.iter().any(|byte| *byte != 0))
}

/// The frame at a position, if it is whole and follows the chain.
pub(crate) fn chained(
    window: &mut Window<'_>,
    file: &LogFile,
    position: u64,
    chain: &Chain,
) -> io::Result<Option<(Header, Bytes)>> {
    let follows = |header: &Header| {
        header.previous == chain.previous
            && header.previous_crc == chain.previous_crc
            && header.epoch >= chain.epoch
    };
    Ok(whole(window, file, position)?.filter(|(header, _)| follows(header)))
}

/// The frame at a position, if it is whole: the header, and the records behind it.
pub(crate) fn whole(
    window: &mut Window<'_>,
    file: &LogFile,
    position: u64,
) -> io::Result<Option<(Header, Bytes)>> {
    let head = window.get(position, HEADER_BYTES)?;
    let is_here = |header: &Header| {
        header.lsn == at(file.number, position) && position + u64::from(header.len) <= file.bytes
    };
    let Some(header) = Header::decode(&head).filter(is_here) else {
        return Ok(None);
    };
    let len = header.len as usize;
    let pages = window.get(position, len.next_multiple_of(PAGE_BYTES))?;
    let Some((frame, padding)) = pages.split_at_checked(len) else {
        return Ok(None);
    };
    // No checksum covers the padding, but it was written as zeros.
    let is_whole = padding.iter().all(|byte| *byte == 0) && header.is_intact(file.salt, frame);
    Ok(is_whole.then(|| (header, pages.slice(HEADER_BYTES..len))))
}

fn visit_records(
    header: &Header,
    records: &Bytes,
    visit: &mut dyn FnMut(Location, &Record),
) -> Option<()> {
    for place in record::places(records) {
        let place = place?;
        let lsn = Lsn(header.lsn.0 + (HEADER_BYTES + place.start) as u64);
        let len = u32::try_from(place.len()).ok()?;
        visit(
            Location { lsn, len },
            &Record::decode(&records.slice(place))?,
        );
    }
    Some(())
}

/// Refuses a log whose end had been followed by something durable.
fn refuse_if_proven(dir: &Path, files: &[LogFile], tail: &Tail) -> Result<(), OpenError> {
    let Some(last) = files.get(tail.file) else {
        return Ok(());
    };
    let end = at(last.number, tail.position);
    let damaged = || {
        OpenError::damaged(
            &dir.join(last.number.name()),
            tail.position,
            "a frame that had been durable",
        )
    };
    if tail.chain.synced > end {
        return Err(damaged());
    }
    for file in files.iter().skip(tail.file) {
        let path = dir.join(file.number.name());
        let mut window = Window::new(file);
        let mut position = if file.number == last.number {
            tail.position
        } else {
            PAGE
        };
        while position < file.bytes {
            let found =
                whole(&mut window, file, position).map_err(|error| OpenError::io(&path, error))?;
            if found.is_some_and(|(header, _)| header.synced > end) {
                return Err(damaged());
            }
            position += PAGE;
        }
    }
    Ok(())
}
