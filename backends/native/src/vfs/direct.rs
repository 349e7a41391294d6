//! A file's way past the cache of the system: pages go from memory to the disk without a copy, and
//! what is written once and seldom read leaves the cache to others.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// A second descriptor of a file, for whole pages. The system keeps what is read through the other
/// one the same.
#[derive(Debug)]
pub(super) struct Direct {
    file: fs::File,
    /// Opened, and then refused to write so.
    is_refused: AtomicBool,
}

impl Direct {
    /// `None` where the file system has no such way.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(file) => Ok(Some(Self {
                file: file.into(),
                is_refused: AtomicBool::new(false),
            })),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => {
                tell();
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The descriptor, unless the file system has refused it.
    pub(super) fn file(&self) -> Option<&fs::File> {
        let is_refused = self.is_refused.load(Ordering::Relaxed);
        (!is_refused).then_some(&self.file)
    }

    /// It is not tried again.
    pub(super) fn refuse(&self) {
        self.is_refused.store(true, Ordering::Relaxed);
        tell();
    }
}

fn tell() {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        tracing::info!("this file system takes no writes past its cache: the log goes through it");
    });
}
