//! The file operations that the store needs, so that a simulation can lose, tear and refuse them.

mod direct;
mod disk;
mod read_only;
#[cfg(any(test, feature = "sim"))]
pub mod sim;

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use disk::Disk;
pub use read_only::ReadOnly;

/// A file system. What was written is durable after [`File::sync`]; a name that was made, changed
/// or removed is durable after [`Vfs::sync_dir`] of its directory. Before that a crash may keep or
/// lose each change by itself.
pub trait Vfs: Debug + Send + Sync {
    /// Makes a directory and those above it.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;
    /// Names in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Opens what exists, for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Makes an empty file, in place of what has the name.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// As [`Vfs::open`], for a file that [`File::write_pages`] is used on.
    fn open_paged(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open(path)
    }
    /// As [`Vfs::create`], for a file that [`File::write_pages`] is used on.
    fn create_paged(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.create(path)
    }
    /// Gives a file another name, in place of what has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a name.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Room on the disk that a directory is on.
    fn room(&self, dir: &Path) -> io::Result<Room>;
    /// Takes a lock that no other process or caller can have; `WouldBlock` if it is taken.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
}

/// Bytes of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// That can still be written.
    pub free: u64,
    /// Of the whole disk; 0 where the file system does not know.
    pub total: u64,
}

/// Whether a write is durable when it has been done, or only after a later sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// On return.
    Now,
    /// After a sync.
    Later,
}

/// A lock that ends when this is dropped.
pub trait Lock: Debug + Send + Sync {}

/// An open file, used from several threads.
pub trait File: Debug + Send + Sync {
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Reads up to `out.len()` bytes from a position; fewer only at the end.
    fn read_at(&self, position: u64, out: &mut [u8]) -> io::Result<usize>;
    /// Writes the parts side by side from a position, or fails.
    fn write_at(&self, position: u64, parts: &[&[u8]]) -> io::Result<()>;
    /// As [`File::write_at`], for whole pages of 4 KiB in memory that begins on one: past the cache of
    /// the system where the file was opened for that and the file system can, and to be read at once
    /// in any case. With [`Flush::Now`] they are durable on return, and nothing else is.
    fn write_pages(&self, position: u64, parts: &[&[u8]], flush: Flush) -> io::Result<()>;
    /// Cuts it, or makes it longer by zeros.
    fn resize(&self, length: u64) -> io::Result<()>;
    /// Makes it so long, of whole pages, on space that is its own from then on; what is there is not defined.
    fn reserve(&self, length: u64) -> io::Result<()>;
    /// Makes content and length durable.
    fn sync(&self) -> io::Result<()>;
}
