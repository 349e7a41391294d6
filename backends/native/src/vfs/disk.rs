//! The real file system.

use std::fs;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::FlockOperation;
use rustix::io::{Errno, ReadWriteFlags};
use smallvec::SmallVec;

use super::direct::Direct;
use super::{File, Flush, Lock, Room, Vfs};
use crate::zeros;

/// Files of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

#[derive(Debug)]
pub(super) struct DiskFile {
    file: fs::File,
    direct: Option<Direct>,
}

impl DiskFile {
    /// One that is written through the cache alone.
    pub(super) fn cached(file: fs::File) -> Self {
        Self { file, direct: None }
    }
}

fn opened(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().read(true).write(true).open(path)
}

fn created(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    let options = options.read(true).write(true);
    options.create(true).truncate(true).open(path)
}

impl Vfs for Disk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        fs::read_dir(dir)?.map(name).collect()
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(DiskFile::cached(opened(path)?)))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(DiskFile::cached(created(path)?)))
    }

    fn open_paged(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(DiskFile {
            file: opened(path)?,
            direct: Direct::open(path)?,
        }))
    }

    fn create_paged(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(DiskFile {
            file: created(path)?,
            direct: Direct::open(path)?,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn room(&self, dir: &Path) -> io::Result<Room> {
        let disk = rustix::fs::statvfs(dir)?;
        Ok(Room {
            free: disk.f_bavail.saturating_mul(disk.f_frsize),
            total: disk.f_blocks.saturating_mul(disk.f_frsize),
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let mut options = fs::OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(DiskFile::cached(file)))
    }
}

// The lock is the open file description's and goes with it.
impl Lock for DiskFile {}

impl File for DiskFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, position: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = out.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, position + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, position: u64, parts: &[&[u8]]) -> io::Result<()> {
        write_all(&self.file, position, parts, Flush::Later)
    }

    fn write_pages(&self, position: u64, parts: &[&[u8]], flush: Flush) -> io::Result<()> {
        if let Some(direct) = &self.direct
            && let Some(file) = direct.file()
        {
            match write_all(file, position, parts, flush) {
                Err(error) if is_refusal(&error) => direct.refuse(),
                written => return written,
            }
        }
        self.write_at(position, parts)?;
        match flush {
            Flush::Now => self.sync(),
            Flush::Later => Ok(()),
        }
    }

    fn resize(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        let all = rustix::fs::FallocateFlags::empty();
        match rustix::fs::fallocate(&self.file, all, 0, length) {
            // What was written is its own as well.
            Err(Errno::OPNOTSUPP) => zeros::write(self, 0, length),
            reserved => Ok(reserved?),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn write_all(file: &fs::File, position: u64, parts: &[&[u8]], flush: Flush) -> io::Result<()> {
    let flags = match flush {
        Flush::Now => ReadWriteFlags::DSYNC,
        Flush::Later => ReadWriteFlags::empty(),
    };
    let mut slices: SmallVec<[IoSlice<'_>; 4]> =
        parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut rest = slices.as_mut_slice();
    let mut at = position;
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match rustix::io::pwritev2(file, rest, at, flags) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                at += n as u64;
                IoSlice::advance_slices(&mut rest, n);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether the system cannot write so, rather than that a write failed.
fn is_refusal(error: &io::Error) -> bool {
    let refusals = [Errno::INVAL, Errno::OPNOTSUPP].map(Errno::raw_os_error);
    error
        .raw_os_error()
        .is_some_and(|code| refusals.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::Pages;

    fn read(file: &dyn File, len: usize) -> Vec<u8> {
        let mut bytes = vec![9; len];
        assert_eq!(file.read_at(0, &mut bytes).unwrap(), len);
        bytes
    }

    #[test]
    fn what_is_written_past_the_cache_is_read_at_once_beside_what_went_through_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = Disk.create_paged(&path).unwrap();
        file.write_at(0, &[&[1; 3 * 4_096]]).unwrap();
        assert_eq!(
            read(&*file, 3 * 4_096),
            [1; 3 * 4_096],
            "it is in the cache"
        );
        let mut pages = Pages::default();
        for (value, flush) in [(2, Flush::Later), (3, Flush::Now)] {
            file.write_pages(4_096, &[pages.of(&[&[value; 4_096]])], flush)
                .unwrap();
            let expected = [[1; 4_096], [value; 4_096], [1; 4_096]].concat();
            assert_eq!(read(&*file, 3 * 4_096), expected);
        }
        let again = Disk.open_paged(&path).unwrap();
        again.write_at(0, &[&[4; 64]]).unwrap();
        again.sync().unwrap();
        let expected = [&[4; 64][..], &[1; 4_032], &[3; 4_096], &[1; 4_096]].concat();
        assert_eq!(read(&*file, 3 * 4_096), expected);
    }

    #[test]
    fn pages_that_cannot_pass_the_cache_go_through_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = Disk.create_paged(&dir.path().join("file")).unwrap();
        let mut pages = Pages::default();
        // Not where a page begins in memory, which file systems refuse that do without a copy.
        let (_, crooked) = pages.of(&[&[5; 2 * 4_096]]).split_at(100);
        let (crooked, _) = crooked.split_at(4_096);
        file.write_pages(0, &[crooked], Flush::Now).unwrap();
        file.write_pages(4_096, &[Pages::default().of(&[&[6; 4_096]])], Flush::Now)
            .unwrap();
        let expected = [[5; 4_096], [6; 4_096]].concat();
        assert_eq!(read(&*file, 2 * 4_096), expected);
    }
}
