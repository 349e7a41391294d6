//! The places where segments are: the directory `sealed`, and an object store if there is one.

mod directory;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fairlead_ports::Lsn;
use fairlead_segment::{
    Compression, LogId, Reader, SegmentError, SegmentId, Segments, Stamp, of_other_log,
};

use crate::homes::{Home, Homes, Site};
use crate::limits::{DIRECTORY_CACHE_BYTES, OBJECTS_CACHE_BYTES};
use crate::superblock;
use crate::vfs::Vfs;

pub(crate) use directory::Directory;

#[derive(Debug)]
pub(crate) struct Sites {
    pub(crate) log: LogId,
    directory: Reader,
    objects: Option<Reader>,
}

impl Sites {
    /// The places of a data directory. Nothing is made or asked for yet.
    pub(crate) fn new(
        vfs: &Arc<dyn Vfs>,
        dir: &Path,
        log: superblock::LogId,
        objects: Option<&Arc<dyn Segments>>,
    ) -> Self {
        let log = LogId(log.0);
        let directory = Arc::new(Directory::new(Arc::clone(vfs), dir.join("sealed")));
        let objects = objects.map(Arc::clone);
        Self {
            log,
            directory: Reader::new(directory, log, DIRECTORY_CACHE_BYTES),
            objects: objects.map(|objects| Reader::new(objects, log, OBJECTS_CACHE_BYTES)),
        }
    }

    pub(crate) fn has_objects(&self) -> bool {
        self.objects.is_some()
    }

    /// Whether all that is kept here can be reached at all.
    pub(crate) fn has(&self, site: Site) -> bool {
        site == Site::Directory || self.has_objects()
    }

    /// All segments of this store at a site, in no order.
    pub(crate) fn list(&self, site: Site) -> Result<Vec<SegmentId>, SegmentError> {
        self.reader(site)?.place().list(self.log)
    }

    /// The first of these segments that cannot be there: its site is not, or its file. An object store
    /// is not asked.
    pub(crate) fn missing(&self, homes: &BTreeSet<Home>) -> Option<Home> {
        let listed = self.list(Site::Directory).unwrap_or_default();
        let is_there = |home: &Home| match home.site {
            Site::Directory => listed.contains(&home.stamp.id),
            Site::Objects => self.has_objects(),
        };
        homes.iter().find(|home| !is_there(home)).copied()
    }

    /// A segment of the object store that is in the directory as well came with a backup: from now on
    /// that is its place.
    pub(crate) fn adopt(&self, homes: &mut Homes) {
        let listed = self.list(Site::Directory).unwrap_or_default();
        homes.adopt(&listed.into_iter().collect());
    }

    /// Reads at a site.
    pub(crate) fn reader(&self, site: Site) -> Result<&Reader, SegmentError> {
        let reader = match site {
            Site::Directory => Some(&self.directory),
            Site::Objects => self.objects.as_ref(),
        };
        reader.ok_or_else(|| SegmentError::Unavailable {
            what: "no object store is configured".into(),
        })
    }

    /// The record that had this LSN; `None` when the segment has none.
    pub(crate) fn record(
        &self,
        home: &Home,
        lsn: Lsn,
        len: u32,
    ) -> Result<Option<Bytes>, SegmentError> {
        self.reader(home.site)?.record(home.stamp, lsn, len)
    }

    /// Keeps a segment.
    pub(crate) fn create(&self, home: &Home, parts: &[Bytes]) -> Result<(), SegmentError> {
        let place = self.reader(home.site)?.place();
        place.create(self.log, home.stamp.id, parts)
    }

    /// Copies a segment into the directory of another log, and makes it one of that log.
    pub(crate) fn give(&self, home: &Home, to: &Self) -> Result<(), SegmentError> {
        let Stamp { id, bytes } = home.stamp;
        let place = self.reader(home.site)?.place();
        let segment = place.read(self.log, id, 0..bytes)?;
        let damaged = SegmentError::damaged(bytes, "the footer of this segment");
        let parts = of_other_log(&segment, to.log).ok_or(damaged)?;
        to.directory.place().create(to.log, id, &parts)
    }

    /// Removes one.
    pub(crate) fn delete(&self, home: &Home) -> Result<(), SegmentError> {
        let reader = self.reader(home.site)?;
        reader.forget(home.stamp.id);
        reader.place().delete(self.log, home.stamp.id)
    }
}

impl Site {
    /// Bytes cost money in an object store, and time on a disk.
    pub(crate) fn compression(self) -> Compression {
        match self {
            Self::Directory => Compression::None,
            Self::Objects => Compression::Zstd,
        }
    }
}
