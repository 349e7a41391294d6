//! Sealing: records that somebody still needs leave the log for segments, so that its files can be
//! used again. A record keeps its LSN; a `Sealed` record says where its file's records are from then
//! on.
//!
//! ```text
//! the log exceeds its budget ─▶ oldest file: live records ─▶ a segment per site ─▶ Sealed ─▶ checkpoint ─▶ file released
//! the store is full ─▶ the file of which least is alive, likewise
//! a segment under half alive ─▶ its live records, with those of others ─▶ new segments ─▶ Sealed ─▶ checkpoint ─▶ 60 s ─▶ deleted
//! ```
//!
//! What is alive can be judged at any time before `Sealed` is written: a record that nobody needs is
//! never needed again, and whatever said so lies before `Sealed` in the log.

mod bench;
mod grave;
pub(crate) mod moved;
mod restless;
mod scrub;
mod survey;
mod thread;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{Class, EntityId, Offset, Timestamp};
use fairlead_ports::{Clock, Entropy, Lsn};
use fairlead_segment::{SegmentError, SegmentId, Writer};
use thiserror::Error;

use crate::entity::Location;
use crate::file_wal::Files;
use crate::ground::{Use, Uses};
use crate::homes::{Home, Homes, Sealed, Site};
use crate::limits::SEALED_FILES_MAX;
use crate::lsn::{FileNo, file_of};
use crate::mould::random;
use crate::sites::Sites;
use crate::state::State;

pub(crate) use bench::Bench;
#[cfg(test)]
pub(crate) use grave::Grave;
pub(crate) use moved::Moved;
pub(crate) use restless::Restless;
#[cfg(test)]
pub(crate) use scrub::Scrub;
pub(crate) use thread::SealThread;

/// What a durable checkpoint has.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) uses: Uses,
    pub(crate) homes: Homes,
    pub(crate) applied: Lsn,
}

/// What sealing works with.
#[derive(Debug)]
pub(crate) struct Sealer {
    pub(crate) files: Arc<Files>,
    pub(crate) sites: Arc<Sites>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// Bytes of log above which the oldest file is sealed.
    pub(crate) log_bytes: u64,
    pub(crate) file_bytes: u64,
}

/// Why something could not be sealed. The log stays as it is.
#[derive(Debug, Error)]
pub(crate) enum SealError {
    /// Records that are needed are not where they should be.
    #[error("damage in {what}: not every record that is needed was found whole")]
    Damaged { what: String },
    /// Something that was deleted is still being given up, and its records count until it is.
    #[error("what was deleted is not given up yet")]
    Unsettled,
    #[error("a log file could not be read")]
    Io(#[from] io::Error),
    #[error("a segment could not be read or kept")]
    Segment(#[from] SegmentError),
}

impl SealError {
    /// Whether trying again finds the same.
    fn is_final(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Io(error) => error.kind() == io::ErrorKind::InvalidData,
            Self::Segment(SegmentError::Damaged { .. } | SegmentError::Missing) => true,
            Self::Segment(SegmentError::Unavailable { .. } | SegmentError::Exists)
            | Self::Unsettled => false,
        }
    }
}

/// A record that somebody needs, for one site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Live {
    site: Site,
    /// The first of those who need it there: what is read together comes together.
    entity: EntityId,
    base: Offset,
    lsn: Lsn,
    len: u32,
}

impl Sealer {
    /// Files of the log to be sealed, oldest first: enough to come back below the budget.
    pub(crate) fn due(&self, view: &View) -> Vec<FileNo> {
        let budget = self.log_bytes / self.file_bytes.max(1);
        let excess = self.files.count().saturating_sub(budget);
        let below = self.files.below(file_of(view.applied));
        let rest = below
            .into_iter()
            .filter(|file| !view.uses.is_free(*file) && view.homes.of(*file).is_empty());
        rest.take(usize::try_from(excess).unwrap_or(0)).collect()
    }

    /// Files of the log that give a quarter of their room back or more when they are sealed, the
    /// emptiest first. None while one that was sealed is not released: its room is for the next segment.
    pub(crate) fn sparse(&self, view: &View) -> Vec<FileNo> {
        let below = self.files.below(file_of(view.applied));
        if below.iter().any(|file| !view.homes.of(*file).is_empty()) {
            return Vec::new();
        }
        let used = |file| (view.uses.of(file).bytes, file);
        let mut sparse: Vec<_> = below.into_iter().map(used).collect();
        sparse
            .retain(|(bytes, file)| !view.uses.is_free(*file) && *bytes <= self.file_bytes / 4 * 3);
        sparse.sort_unstable();
        sparse.into_iter().map(|(_, file)| file).collect()
    }

    /// Moves the records of a file that are needed into new segments.
    pub(crate) fn seal(&self, state: &State, number: FileNo) -> Result<Sealed, SealError> {
        let file = self.files.get(number);
        let file = file.ok_or(io::Error::from(io::ErrorKind::NotFound))?;
        let survey = self.check_file(state, number)?;
        let read = |live: &Live| survey::record_in(&file, live);
        let homes = self.write(survey.live, read)?;
        Ok(Sealed(vec![(number, homes)]))
    }

    /// Files that were sealed and that nobody needs any more.
    pub(crate) fn emptied(&self, view: &View) -> Sealed {
        let all = view.homes.all();
        let empty = all.filter(|(file, _)| view.uses.is_free(*file));
        let forget = empty.map(|(file, _)| (file, Vec::new()));
        Sealed(forget.take(SEALED_FILES_MAX).collect())
    }

    /// Segments to be written anew: those under half alive, and those in which something has to move
    /// to another site; together about as large as a file.
    pub(crate) fn thin(&self, view: &View, restless: &Restless) -> Vec<Home> {
        let mut alive: BTreeMap<Home, (u64, bool)> = BTreeMap::new();
        for (file, homes) in view.homes.all() {
            for home in homes {
                let (bytes, moves) = alive.entry(*home).or_default();
                *bytes = bytes.saturating_add(view.uses.of(file).bytes);
                *moves |= restless.has(file, home);
            }
        }
        let mut room = self.file_bytes;
        let is_thin = |(home, (bytes, moves)): &(Home, (u64, bool))| {
            let is_thin = *moves || *bytes < home.stamp.bytes / 2;
            (self.sites.has(home.site) && is_thin).then_some((*home, *bytes))
        };
        let alive: Vec<_> = alive.into_iter().collect();
        let thin = alive.iter().filter_map(is_thin);
        let fits = thin.take_while(|(_, bytes)| {
            let is_first = room == self.file_bytes;
            let fits = is_first || *bytes <= room;
            room = room.saturating_sub(*bytes);
            fits
        });
        fits.map(|(home, _)| home).collect()
    }

    /// Moves what is needed of some segments into new ones.
    pub(crate) fn rewrite(
        &self,
        state: &State,
        homes: &Homes,
        old: &[Home],
    ) -> Result<Sealed, SealError> {
        let mut records = BTreeMap::new();
        let mut live = Vec::new();
        for home in old {
            let survey = survey::of_segment(state, &self.sites, home, &mut records)?;
            live.extend(survey.live);
        }
        if state.ground.is_faulty() {
            let what = "the index".into();
            return Err(SealError::Damaged { what });
        }
        // One that lay in two of them is still one.
        live.sort_unstable();
        live.dedup();
        let read = |live: &Live| {
            let record = records.get(&live.lsn).cloned();
            record.ok_or(io::Error::from(io::ErrorKind::NotFound))
        };
        let new = self.write(live, read)?;
        let concerned = homes
            .all()
            .filter(|(_, homes)| homes.iter().any(|home| old.contains(home)));
        let moved = concerned.map(|(file, homes)| {
            let stays = homes.iter().filter(|home| !old.contains(home));
            (file, stays.chain(&new).copied().collect())
        });
        Ok(Sealed(moved.collect()))
    }

    /// One segment per site that somebody needs a record at.
    fn write(
        &self,
        mut live: Vec<Live>,
        read: impl Fn(&Live) -> io::Result<Bytes>,
    ) -> Result<Vec<Home>, SealError> {
        live.sort_unstable();
        let mut homes = Vec::new();
        for live in live.chunk_by(|one, next| one.site == next.site) {
            let Some(site) = live.first().map(|live| live.site) else {
                continue;
            };
            let id = self.name();
            let mut writer = Writer::new(self.sites.log, id, site.compression());
            for live in live {
                writer.push(live.lsn, &read(live)?);
            }
            let (stamp, parts) = writer.finish();
            let home = Home { site, stamp };
            self.sites.create(&home, &parts)?;
            homes.push(home);
        }
        Ok(homes)
    }

    fn name(&self) -> SegmentId {
        SegmentId {
            made: self.clock.wall().0,
            random: random(self.entropy.as_ref()),
        }
    }

    fn wall(&self) -> Timestamp {
        self.clock.wall()
    }
}

impl Live {
    fn at(&self) -> Location {
        Location {
            lsn: self.lsn,
            len: self.len,
        }
    }
}

impl Site {
    /// The one that is not this.
    fn other(self) -> Self {
        match self {
            Self::Directory => Self::Objects,
            Self::Objects => Self::Directory,
        }
    }

    /// Where messages of a class belong once they leave the log.
    pub(crate) fn of_class(class: Class) -> Self {
        match class {
            Class::Object => Self::Objects,
            Class::Local | Class::Memory => Self::Directory,
        }
    }
}

impl Uses {
    fn of(&self, number: FileNo) -> Use {
        self.0.get(&number).copied().unwrap_or_default()
    }
}
