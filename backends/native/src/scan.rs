//! Reading a log after a stop: the longest chain of whole frames, or a refusal.
//!
//! The first frame that is not whole ends the log only if nothing proves that it had been durable:
//! each frame, and the superblock, says how far syncs had come when it was written. If any of them
//! was past that point, what lies there is damage and not a torn write.

use std::io;
use std::path::Path;

use bytes::Bytes;
use fairlead_canon::Timestamp;
use fairlead_ports::Lsn;

use crate::entity::Location;
use crate::error::OpenError;
use crate::file_wal::Chain;
use crate::frame::{HEADER_BYTES, Header};
use crate::index::{self, refused};
use crate::log_file::LogFile;
use crate::lsn::{FileNo, PAGE, PAGE_BYTES, at, file_of, padded, position_of};
use crate::mutation::{Mutation, is_on};
use crate::record::{self, Record};
use crate::state::State;
use crate::superblock::LogId;
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

/// Opens the files of a log that are there, in order. Every one must be of this log.
pub(crate) fn open_files(vfs: &dyn Vfs, dir: &Path, log: LogId) -> Result<Vec<LogFile>, OpenError> {
    let names = vfs.list(dir).map_err(|error| OpenError::io(dir, error))?;
    let mut numbers: Vec<_> = names
        .iter()
        .filter_map(|name| FileNo::of_name(name))
        .collect();
    numbers.sort_unstable();
    let mut files = Vec::with_capacity(numbers.len());
    for number in numbers {
        let path = dir.join(number.name());
        let file =
            LogFile::open(vfs, dir, number, log).map_err(|error| OpenError::io(&path, error))?;
        files
            .push(file.ok_or_else(|| OpenError::damaged(&path, 0, "the header of this log file"))?);
    }
    Ok(files)
}

/// Where a replay begins: behind the last frame that the index has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begin {
    /// Index of the file.
    pub(crate) file: usize,
    pub(crate) position: u64,
    pub(crate) chain: Chain,
}

impl Begin {
    /// Refuses when a file is missing that the index refers to, or that lies behind where it ends,
    /// or when the frame where it ends is not the one that it has.
    pub(crate) fn find(
        dir: &Path,
        files: &[LogFile],
        state: &State,
        proven: Lsn,
    ) -> Result<Self, OpenError> {
        let refused = |error| refused(dir.with_file_name(index::NAME), error);
        let applied = state.ground.index.applied().map_err(refused)?;
        let number = if applied.frame == Lsn(0) {
            FileNo::FIRST
        } else {
            file_of(applied.frame)
        };
        let is_there = |number| files.iter().any(|file| file.number == number);
        let missing = |number: FileNo| OpenError::Missing {
            file: dir.join(number.name()),
        };
        let uses = state.ground.uses.lock().0.clone();
        let homes = state.ground.homes.lock().clone();
        let is_sealed = |number| !homes.of(number).is_empty();
        let gone = uses
            .into_keys()
            .find(|number| !is_there(*number) && !is_sealed(*number));
        let from = files.iter().position(|file| file.number >= number);
        let from = from.unwrap_or(files.len());
        let behind = files.iter().skip(from).map(|file| file.number);
        let expected = std::iter::successors(Some(number), |number| Some(number.next()));
        let gap = expected.zip(behind).find(|(expected, is)| expected != is);
        if let Some(number) = gone.or(gap.map(|(expected, _)| expected)) {
            return Err(missing(number));
        }
        let chain = Chain {
            previous: applied.frame,
            previous_crc: applied.crc,
            epoch: applied.epoch,
            synced: proven,
        };
        let first = Self {
            file: from,
            position: PAGE,
            chain,
        };
        match files.get(from) {
            _ if applied.frame == Lsn(0) && (proven == Lsn(0) || is_there(number)) => Ok(first),
            None => Err(missing(number)),
            Some(file) => first.behind(dir, file),
        }
    }

    /// Goes behind the frame that the index ends with.
    fn behind(mut self, dir: &Path, file: &LogFile) -> Result<Self, OpenError> {
        let path = dir.join(file.number.name());
        let position = position_of(self.chain.previous);
        let frame = whole(&mut Window::new(file), file, position);
        let frame = frame.map_err(|error| OpenError::io(&path, error))?;
        let is_it = |(header, _): &(Header, Bytes)| header.crc == self.chain.previous_crc;
        let Some((header, _)) = frame.filter(is_it) else {
            let what = "the frame that the index ends with";
            return Err(OpenError::damaged(&path, position, what));
        };
        self.position = position + padded(u64::from(header.len));
        self.chain.synced = self.chain.synced.max(at(file.number, self.position));
        Ok(self)
    }
}

/// Visits every record of the log from there on, oldest first, with the time of its frame, and finds
/// the end. Changes nothing.
pub(crate) fn replay(
    dir: &Path,
    files: &[LogFile],
    begin: Begin,
    visit: &mut dyn FnMut(Timestamp, Location, &Record),
) -> Result<Tail, OpenError> {
    let mut tail = Tail {
        file: begin.file,
        position: begin.position,
        chain: begin.chain,
        frames: 0,
        is_torn: false,
    };
    for (index, file) in files.iter().enumerate().skip(begin.file) {
        let path = dir.join(file.number.name());
        let mut window = Window::new(file);
        let is_first = index == begin.file;
        let start = if is_first { begin.position } else { PAGE };
        let mut position = start;
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
        if position == start && !is_first {
            break;
        }
        tail.file = index;
        tail.position = position;
    }
    refuse_if_proven(dir, files, &tail)?;
    tail.is_torn = is_torn(files, &tail).map_err(|error| OpenError::io(dir, error))?;
    Ok(tail)
}

/// Whether a frame was begun where the next one goes. What else lies there is nothing: zeros, or
/// what a file held before it was used again.
fn is_torn(files: &[LogFile], tail: &Tail) -> io::Result<bool> {
    let Some(last) = files.get(tail.file) else {
        return Ok(false);
    };
    is_begun(&mut Window::new(last), last.number, tail.position)
}

/// Whether what lies at a position says that it is a frame of this file.
pub(crate) fn is_begun(window: &mut Window<'_>, number: FileNo, position: u64) -> io::Result<bool> {
    let head = window.get(position, HEADER_BYTES)?;
    Ok(Header::decode(&head).is_some_and(|header| header.lsn == at(number, position)))
}

/// The frame at a position, if it is whole and follows the chain.
pub(crate) fn chained(
    window: &mut Window<'_>,
    file: &LogFile,
    position: u64,
    chain: &Chain,
) -> io::Result<Option<(Header, Bytes)>> {
    let follows = |header: &Header| {
        let is_next =
            header.previous == chain.previous && header.previous_crc == chain.previous_crc;
        (is_next || is_on(Mutation::NoChainCheck))
            && (header.epoch >= chain.epoch || is_on(Mutation::NoEpochCheck))
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
    visit: &mut dyn FnMut(Timestamp, Location, &Record),
) -> Option<()> {
    for place in record::places(records) {
        let place = place?;
        let lsn = Lsn(header.lsn.0 + (HEADER_BYTES + place.start) as u64);
        let len = u32::try_from(place.len()).ok()?;
        visit(
            header.wall,
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
    if is_on(Mutation::NoSyncedCheck) {
        return Ok(());
    }
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
