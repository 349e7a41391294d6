//! Where the records of a log file are once they have been sealed. LSNs are names for good: a record
//! keeps the one that it got, and only the file's number leads elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use fairlead_segment::{SegmentId, Stamp};

use crate::field::{is_zero, u8_at, u32_at, u64_at};
use crate::index::pack::{Pack, Unpack};
use crate::lsn::FileNo;

/// A segment, and where it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Home {
    pub(crate) site: Site,
    pub(crate) stamp: Stamp,
}

/// A place for segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Site {
    /// Below the data directory.
    Directory = 1,
    /// In the object store.
    Objects = 2,
}

/// What a record says about sealing: the records of these files are now in these segments, and
/// nowhere else. A file without any has no record that somebody needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed(pub(crate) Vec<(FileNo, Vec<Home>)>);

/// The homes of every sealed file that is still needed. Shared with checkpoints and readers; copied
/// when it changes meanwhile.
#[derive(Clone, Debug, Default)]
pub(crate) struct Homes(Arc<BTreeMap<FileNo, Vec<Home>>>);

impl Homes {
    pub(crate) fn apply(&mut self, sealed: &Sealed) {
        let homes = Arc::make_mut(&mut self.0);
        for (file, at) in &sealed.0 {
            if at.is_empty() {
                homes.remove(file);
            } else {
                homes.insert(*file, at.clone());
            }
        }
    }

    /// Where the records of a file are; nothing if it was not sealed, or nobody needs them.
    pub(crate) fn of(&self, file: FileNo) -> &[Home] {
        self.0.get(&file).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (FileNo, &[Home])> {
        self.0.iter().map(|(file, homes)| (*file, homes.as_slice()))
    }

    /// Every segment that somebody may look for.
    pub(crate) fn segments(&self) -> BTreeSet<Home> {
        let homes = self.0.values();
        homes.flat_map(|homes| homes.iter().copied()).collect()
    }

    /// Takes these segments for moved into the directory.
    pub(crate) fn adopt(&mut self, here: &BTreeSet<SegmentId>) {
        let is_here = |home: &Home| home.site == Site::Objects && here.contains(&home.stamp.id);
        if !self.0.values().flatten().any(is_here) {
            return;
        }
        let homes = Arc::make_mut(&mut self.0).values_mut().flatten();
        for home in homes.filter(|home| is_here(home)) {
            home.site = Site::Directory;
        }
    }

    /// Whether nothing has changed between the two.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What rows of the index say.
    pub(crate) fn of_rows(rows: BTreeMap<FileNo, Vec<Home>>) -> Self {
        Self(Arc::new(rows))
    }
}

impl Site {
    pub(crate) const ALL: [Self; 2] = [Self::Directory, Self::Objects];

    fn of(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|site| *site as u64 == code)
    }
}

/// The value of a row: homes; for each its site, and what is remembered of the segment.
pub(crate) fn encode_row(homes: &[Home]) -> Vec<u8> {
    let mut pack = Pack::default();
    pack.uint(homes.len() as u64);
    for home in homes {
        let Stamp { id, bytes } = home.stamp;
        for number in [home.site as u64, id.made, id.random, bytes] {
            pack.uint(number);
        }
    }
    pack.done()
}

pub(crate) fn decode_row(row: &[u8]) -> Option<Vec<Home>> {
    let mut unpack = Unpack::new(row);
    let mut homes = Vec::new();
    for _ in 0..unpack.uint()? {
        let site = Site::of(unpack.uint()?)?;
        let (made, random) = (unpack.uint()?, unpack.uint()?);
        let id = SegmentId { made, random };
        let bytes = unpack.uint()?;
        let stamp = Stamp { id, bytes };
        homes.push(Home { site, stamp });
    }
    unpack.done(homes)
}

const FILE_BYTES: usize = 16;
const HOME_BYTES: usize = 32;

impl Sealed {
    /// What follows the head of its record: zero u16 · files u32 · for each {file u64 · homes u32 ·
    /// zero u32 · for each {made u64 · random u64 · bytes u64 · site u8 · 7 zero}}.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        out.put_u16_le(0);
        out.put_u32_le(count(self.0.len()));
        for (file, homes) in &self.0 {
            out.put_u64_le(file.0);
            out.put_u32_le(count(homes.len()));
            out.put_u32_le(0);
            for Home { site, stamp } in homes {
                out.put_u64_le(stamp.id.made);
                out.put_u64_le(stamp.id.random);
                out.put_u64_le(stamp.bytes);
                out.put_u8(*site as u8);
                out.put_bytes(0, 7);
            }
        }
    }

    /// The most bytes that its record takes.
    pub(crate) fn len_max(&self) -> usize {
        let homes: usize = self.0.iter().map(|(_, homes)| homes.len()).sum();
        16 + self.0.len() * FILE_BYTES + homes * HOME_BYTES
    }

    /// Of a whole record.
    pub(crate) fn decode(bytes: &Bytes) -> Option<Self> {
        let mut at = 16;
        let mut files = Vec::new();
        for _ in 0..u32_at(bytes, 12)? {
            let (file, count) = (FileNo(u64_at(bytes, at)?), u32_at(bytes, at + 8)?);
            is_zero(bytes, at + 12, at + FILE_BYTES).then_some(())?;
            at += FILE_BYTES;
            let end = at.checked_add(HOME_BYTES.checked_mul(count as usize)?)?;
            let (homes, rest) = bytes.get(at..end)?.as_chunks::<HOME_BYTES>();
            let homes = homes.iter().map(|home| Home::decode(home));
            files.push((file, homes.collect::<Option<_>>()?));
            rest.is_empty().then_some(())?;
            at = end;
        }
        (is_zero(bytes, 10, 12) && at == bytes.len()).then_some(Self(files))
    }
}

impl Home {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let id = SegmentId {
            made: u64_at(bytes, 0)?,
            random: u64_at(bytes, 8)?,
        };
        let stamp = Stamp {
            id,
            bytes: u64_at(bytes, 16)?,
        };
        let site = Site::of(u64::from(u8_at(bytes, 24)?))?;
        is_zero(bytes, 25, 32).then_some(Self { site, stamp })
    }
}
