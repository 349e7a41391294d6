//! The way through a log, over what is damaged: along the chain of frames, and where it breaks and
//! something proves that it went on, again from the next frame that is whole.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fairlead_canon::Timestamp;
use fairlead_ports::Lsn;

use super::concern::Ends;
use super::report::{Cut, Damage, Report};
use crate::entity::Location;
use crate::error::OpenError;
use crate::file_wal::Chain;
use crate::frame::{FRAME_BYTES_MAX, HEADER_BYTES, Header};
use crate::log_file::LogFile;
use crate::lsn::{FileNo, PAGE, PAGE_BYTES, at, file_of, padded, position_of};
use crate::record::{self, Record};
use crate::scan::{Begin, chained, is_begun, whole};
use crate::superblock::Epoch;
use crate::window::Window;

/// What is told of each record: where it was seen, what it says.
pub(super) type Visit<'v> = &'v mut dyn FnMut(Seen, &Record);

/// A record that is whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// When its frame was made.
    pub(super) wall: Timestamp,
    /// Where its frame lies.
    pub(super) frame: Lsn,
    /// Where it lies.
    pub(super) at: Location,
}

pub(super) struct Walk<'a> {
    dir: &'a Path,
    files: &'a [LogFile],
    window: Option<(usize, Window<'a>)>,
    chain: Chain,
    ends: Ends,
    report: Report,
    /// The damage that what is missing from now on is laid to.
    latest: Option<usize>,
    /// Where a start begins to read: before this file others may be gone.
    begin: Option<Spot>,
}

/// A place in the files that could be opened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    file: usize,
    position: u64,
}

/// A frame and its records.
type Frame = (Header, Bytes);
/// A frame that is whole, further on.
type Ahead = (Spot, Header);

impl<'a> Walk<'a> {
    /// Begins with what was found before.
    pub(super) fn new(dir: &'a Path, files: &'a [LogFile], proven: Lsn, report: Report) -> Self {
        Self {
            dir,
            files,
            window: None,
            chain: Chain {
                previous: Lsn(0),
                previous_crc: 0,
                epoch: Epoch(0),
                synced: proven,
            },
            ends: Ends::default(),
            latest: None,
            begin: None,
            report,
        }
    }

    /// Takes missing files for gone where they lie before the one where a start begins to read, and
    /// finds out what is lost from the first damaged place behind that on.
    pub(super) fn starting_at(self, begin: Option<&Begin>) -> Self {
        let spot = |begin: &Begin| Spot {
            file: begin.file,
            position: begin.position,
        };
        Self {
            begin: begin.map(spot),
            ..self
        }
    }

    pub(super) fn run(mut self, visit: Visit<'_>) -> Result<Report, OpenError> {
        let mut spot = Spot {
            file: 0,
            position: PAGE,
        };
        if self.files.is_empty() {
            return Ok(self.report);
        }
        self.join(spot)?;
        loop {
            if let Some((next, frame)) = self.next(spot)? {
                self.visit(next, &frame, visit);
                spot = next.after(&frame.0);
                continue;
            }
            if let Some(next) = self.gap(spot)? {
                self.join(next)?;
                spot = next;
                continue;
            }
            let (is_proven, next) = self.look_ahead(spot)?;
            if !is_proven {
                break;
            }
            self.cut_off(spot);
            self.damaged(spot, next.as_ref())?;
            let Some((next, header)) = next else {
                return Ok(self.report);
            };
            self.chain.previous = header.previous;
            self.chain.previous_crc = header.previous_crc;
            spot = next;
        }
        self.end(spot)
    }

    /// Takes the first frame for what follows the files before, which are gone.
    fn join(&mut self, spot: Spot) -> Result<(), OpenError> {
        let Some((file, window)) = self
            .window(spot)
            .filter(|(file, _)| file.number > FileNo::FIRST)
        else {
            return Ok(());
        };
        let frame = whole(window, file, spot.position);
        if let Some((header, _)) = frame.map_err(|error| self.failed(spot, error))? {
            self.chain.previous = header.previous;
            self.chain.previous_crc = header.previous_crc;
            self.chain.epoch = header.epoch;
        }
        Ok(())
    }

    /// The file behind a gap where nothing refers to what is gone, if this one holds nothing more.
    fn gap(&mut self, spot: Spot) -> Result<Option<Spot>, OpenError> {
        let next = spot.in_next_file();
        let numbers = [spot, next].map(|at| self.files.get(at.file).map(|file| file.number));
        let [Some(here), Some(there)] = numbers else {
            return Ok(None);
        };
        let first = self.begin.map_or(0, |begin| begin.file);
        if next.file > first || here.next() == there {
            return Ok(None);
        }
        let mut ahead = spot;
        while let Some((file, window)) = self
            .window(ahead)
            .filter(|(file, _)| ahead.position < file.bytes)
        {
            let frame = whole(window, file, ahead.position);
            if frame.map_err(|error| self.failed(ahead, error))?.is_some() {
                return Ok(None);
            }
            ahead.position += PAGE;
        }
        Ok(Some(next))
    }

    /// The next frame of the chain: here, or at the beginning of the next file.
    fn next(&mut self, spot: Spot) -> Result<Option<(Spot, Frame)>, OpenError> {
        for spot in [spot, spot.in_next_file()] {
            let chain = self.chain;
            let Some((file, window)) = self.window(spot) else {
                continue;
            };
            let frame = chained(window, file, spot.position, &chain);
            let frame = frame.map_err(|error| self.failed(spot, error))?;
            if let Some(frame) = frame {
                return Ok(Some((spot, frame)));
            }
        }
        Ok(None)
    }

    fn visit(&mut self, spot: Spot, (header, records): &Frame, visit: Visit<'_>) {
        self.chain.previous = header.lsn;
        self.chain.previous_crc = header.crc;
        self.chain.epoch = header.epoch;
        self.chain.synced = self.chain.synced.max(header.synced);
        self.report.frames += 1;
        // The checksums of the frame hold, so its records follow each other without a gap.
        for place in record::places(records).map_while(|place| place) {
            self.report.records += 1;
            let start = HEADER_BYTES + place.start;
            let at = Location {
                lsn: Lsn(header.lsn.0 + start as u64),
                len: u32::try_from(place.len()).unwrap_or(u32::MAX),
            };
            let Some(record) = Record::decode(&records.slice(place)) else {
                let mut damage =
                    Damage::new(self.path(spot), spot.position, "a record of this version");
                damage.record = Some(spot.position + start as u64);
                self.report.damages.push(damage);
                continue;
            };
            if let Some(cut) = &mut self.report.cut {
                cut.records += 1;
                cut.lost.tells(&record);
            }
            let latest = self.latest.and_then(|at| self.report.damages.get_mut(at));
            self.ends.follow(&record, latest);
            let seen = Seen {
                wall: header.wall,
                frame: header.lsn,
                at,
            };
            visit(seen, &record);
        }
    }

    /// Whether something proves that the log went on from here, and the next frame that is whole.
    fn look_ahead(&mut self, spot: Spot) -> Result<(bool, Option<Ahead>), OpenError> {
        let end = self.lsn(spot);
        let mut next = None;
        let mut is_proven = self.chain.synced > end;
        let mut ahead = spot;
        while let Some((file, window)) = self.window(ahead) {
            let frame = whole(window, file, ahead.position);
            let frame = frame.map_err(|error| self.failed(ahead, error))?;
            if let Some((header, _)) = frame.filter(|(header, _)| header.epoch >= self.chain.epoch)
            {
                is_proven |= header.synced > end;
                next = next.or(Some((ahead, header)));
            }
            if is_proven && next.is_some() {
                break;
            }
            ahead.position += PAGE;
            if ahead.position >= file.bytes {
                ahead = ahead.in_next_file();
            }
        }
        Ok((is_proven, next))
    }

    /// What follows the first damaged place that a start would meet is what it costs to go on.
    fn cut_off(&mut self, spot: Spot) {
        let is_met = self.begin.is_some_and(|begin| begin <= spot);
        if is_met && self.report.cut.is_none() {
            let what = "everything from here on";
            self.report.cut = Some(Cut {
                lsn: self.lsn(spot),
                records: 0,
                lost: Damage::new(self.path(spot), spot.position, what),
            });
        }
    }

    /// Notes that what was durable between two places is not there.
    fn damaged(&mut self, spot: Spot, next: Option<&Ahead>) -> Result<(), OpenError> {
        let is_left = self.is_left(spot)?;
        if is_left || next.is_some_and(|next| next.0 == spot) {
            self.latest = self.lost_file(next);
            if self.latest.is_some() {
                return Ok(());
            }
        }
        // A file that holds nothing more had been left for the next one, if that holds anything.
        let follower = spot.in_next_file();
        let is_whole = next.is_some_and(|next| next.0 == follower);
        let spot = if is_left && !is_whole && !self.is_left(follower)? {
            follower
        } else {
            spot
        };
        let damage = self.examine(spot, next)?;
        if let Some(cut) = &mut self.report.cut {
            cut.records += damage.records;
            cut.lost.add(&damage);
        }
        self.report.damages.push(damage);
        self.latest = self.report.damages.len().checked_sub(1);
        Ok(())
    }

    /// Whether nothing was written in a file from here on.
    fn is_left(&mut self, mut spot: Spot) -> Result<bool, OpenError> {
        while let Some((file, window)) = self.window(spot) {
            if spot.position >= file.bytes {
                break;
            }
            let page = window.get(spot.position, PAGE_BYTES);
            let page = page.map_err(|error| self.failed(spot, error))?;
            if page.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            spot.position += PAGE;
        }
        Ok(true)
    }

    /// A file between the last frame and the next one that was named as a whole.
    fn lost_file(&self, next: Option<&Ahead>) -> Option<usize> {
        let from = file_of(self.chain.previous);
        let lies_between = |damage: &Damage| {
            let number = damage.file_number();
            let is_before = next.is_none_or(|next| number < Some(file_of(next.1.lsn)));
            damage.at == 0 && number > Some(from) && is_before
        };
        self.report.damages.iter().position(lies_between)
    }

    /// What can be told of a place where a frame should be.
    fn examine(&mut self, spot: Spot, next: Option<&Ahead>) -> Result<Damage, OpenError> {
        let mut damage = Damage::new(
            self.path(spot),
            spot.position,
            "a frame that had been durable",
        );
        let Some((file, window)) = self.window(spot) else {
            return Ok(damage);
        };
        let until = next
            .map(|next| next.0)
            .filter(|next| next.file == spot.file);
        let until = until.map_or(file.bytes, |next| next.position);
        let len = usize::try_from(until.saturating_sub(spot.position)).unwrap_or(usize::MAX);
        let frame = window.get(spot.position, len.min(FRAME_BYTES_MAX));
        let frame = frame.map_err(|error| OpenError::io(&damage.file, error))?;
        let said = Header::decode(&frame).map_or(PAGE, |header| u64::from(header.len));
        if spot.position + said > file.bytes {
            damage.what = "a frame that had been durable; the file ends before it does";
        }
        if frame.len() > HEADER_BYTES {
            let first = spot.position + HEADER_BYTES as u64;
            damage.read(&frame.slice(HEADER_BYTES..), first);
        }
        Ok(damage)
    }

    fn end(mut self, spot: Spot) -> Result<Report, OpenError> {
        self.report.end = Some((self.path(spot), spot.position));
        self.report.proven = self.proven();
        if let Some((file, window)) = self.window(spot) {
            let is_torn = is_begun(window, file.number, spot.position);
            self.report.is_torn = is_torn.map_err(|error| self.failed(spot, error))?;
        }
        Ok(self.report)
    }

    /// The place up to which something proves that the log was durable; it may lie right behind the
    /// last byte of a file.
    fn proven(&self) -> Option<(PathBuf, u64)> {
        let last = Lsn(self.chain.synced.0.checked_sub(1)?);
        Some((self.dir.join(file_of(last).name()), position_of(last) + 1))
    }

    fn window(&mut self, spot: Spot) -> Option<(&'a LogFile, &mut Window<'a>)> {
        let file = self.files.get(spot.file)?;
        if self.window.as_ref().is_none_or(|(at, _)| *at != spot.file) {
            self.window = Some((spot.file, Window::new(file)));
        }
        self.window.as_mut().map(|(_, window)| (file, window))
    }

    fn path(&self, spot: Spot) -> PathBuf {
        let file = self.files.get(spot.file);
        file.map_or_else(|| self.dir.into(), |file| self.dir.join(file.number.name()))
    }

    fn lsn(&self, spot: Spot) -> Lsn {
        let file = self.files.get(spot.file);
        file.map_or(Lsn(0), |file| at(file.number, spot.position))
    }

    fn failed(&self, spot: Spot, error: io::Error) -> OpenError {
        OpenError::io(&self.path(spot), error)
    }
}

impl Spot {
    fn in_next_file(self) -> Self {
        Self {
            file: self.file + 1,
            position: PAGE,
        }
    }

    fn after(self, frame: &Header) -> Self {
        Self {
            position: self.position + padded(u64::from(frame.len)),
            ..self
        }
    }
}
