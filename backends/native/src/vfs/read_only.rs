//! The real file system for those who only look: nothing can be changed through it.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::FlockOperation;

use super::disk::DiskFile;
use super::{Disk, File, Lock, Room, Vfs};

/// Files of the operating system, opened for reading. Its lock is shared: it is refused while a
/// node runs, and keeps one from starting. A directory without a lock file is a copy, and free.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOnly;

#[derive(Debug)]
struct NoLock;

impl Lock for NoLock {}

impl Vfs for ReadOnly {
    fn make_dir(&self, _dir: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        Disk.list(dir)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(DiskFile::cached(fs::File::open(path)?)))
    }

    fn create(&self, _path: &Path) -> io::Result<Arc<dyn File>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn remove(&self, _path: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn room(&self, dir: &Path) -> io::Result<Room> {
        Disk.room(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let file = match fs::File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Box::new(NoLock)),
            file => file?,
        };
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared)?;
        Ok(Box::new(DiskFile::cached(file)))
    }
}
