//! Segments as files of a directory, over the store's own file system: the simulated one loses and
//! tears them like any other file. One log has the directory for itself.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fairlead_segment::{LogId, SegmentError, SegmentId, Segments};

use crate::pages;
use crate::vfs::Vfs;

/// What a segment is called until it is whole.
const UNFINISHED: &str = ".part";

#[derive(Debug)]
pub(crate) struct Directory {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
}

impl Directory {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, dir: PathBuf) -> Self {
        Self { vfs, dir }
    }

    fn path(&self, id: SegmentId) -> PathBuf {
        self.dir.join(id.to_string())
    }

    fn unfinished(&self, id: SegmentId) -> PathBuf {
        self.dir.join(format!("{id}{UNFINISHED}"))
    }

    fn write(&self, id: SegmentId, parts: &[Bytes]) -> io::Result<()> {
        self.vfs.make_dir(&self.dir)?;
        // The directory itself may be new.
        if let Some(parent) = self.dir.parent() {
            self.vfs.sync_dir(parent)?;
        }
        let unfinished = self.unfinished(id);
        if let Err(error) = self.fill(&unfinished, parts) {
            // A full disk needs the room. What cannot be removed is an orphan, which goes later.
            self.vfs.remove(&unfinished).ok();
            return Err(error);
        }
        self.vfs.rename(&unfinished, &self.path(id))?;
        self.vfs.sync_dir(&self.dir)
    }

    fn fill(&self, path: &Path, parts: &[Bytes]) -> io::Result<()> {
        let file = self.vfs.create_paged(path)?;
        let slices: Vec<&[u8]> = parts.iter().map(Bytes::as_ref).collect();
        pages::write(file.as_ref(), &slices)?;
        file.sync()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        match self.vfs.list(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed,
        }
    }
}

impl Segments for Directory {
    fn create(&self, _: LogId, id: SegmentId, parts: &[Bytes]) -> Result<(), SegmentError> {
        match self.vfs.open(&self.path(id)) {
            Ok(_) => Err(SegmentError::Exists),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.write(id, parts).map_err(|error| failed(&error))
            }
            Err(error) => Err(failed(&error)),
        }
    }

    fn read(&self, _: LogId, id: SegmentId, range: Range<u64>) -> Result<Bytes, SegmentError> {
        let file = self.vfs.open(&self.path(id));
        let file = file.map_err(|error| failed(&error))?;
        let length = file.length().map_err(|error| failed(&error))?;
        // Before so much memory is taken.
        if range.end > length {
            return Err(SegmentError::damaged(length, "more of this segment"));
        }
        let len = range.end.saturating_sub(range.start);
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        let read = file.read_at(range.start, &mut bytes);
        let read = read.map_err(|error| failed(&error))?;
        if read < bytes.len() {
            return Err(SegmentError::damaged(length, "more of this segment"));
        }
        Ok(bytes.into())
    }

    fn delete(&self, _: LogId, id: SegmentId) -> Result<(), SegmentError> {
        for path in [self.path(id), self.unfinished(id)] {
            match self.vfs.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(&error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn list(&self, _: LogId) -> Result<Vec<SegmentId>, SegmentError> {
        let names = self.names().map_err(|error| failed(&error))?;
        let ids = names.iter().filter_map(|name| {
            let name = name.strip_suffix(UNFINISHED).unwrap_or(name);
            SegmentId::of_name(name)
        });
        Ok(ids.collect())
    }
}

fn failed(error: &io::Error) -> SegmentError {
    if error.kind() == io::ErrorKind::NotFound {
        return SegmentError::Missing;
    }
    SegmentError::Unavailable {
        what: error.to_string(),
    }
}
