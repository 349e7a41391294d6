//! Why a data directory was not opened.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a data directory was not opened. Nothing was changed in it.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is open in another process", .dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// What is in a file is not what was durable there.
    #[error("damage in {} at byte {at}: {what}", .file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The byte.
        at: u64,
        /// What should be there.
        what: &'static str,
    },
    /// The index is not what was written there, or belongs to another log.
    #[error(
        "damage in {}: {what}; restore a backup, or try `store check --rebuild-index`",
        .file.display()
    )]
    Index {
        /// The file.
        file: PathBuf,
        /// What is wrong in it.
        what: String,
    },
    /// A file of the log is missing.
    #[error("{} is missing", .file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// The end of a damaged log is not given up at this place, or not at this price.
    #[error("the log can be cut off at {lsn} alone, and that loses {records} records")]
    Price {
        /// Where it can be.
        lsn: u64,
        /// How many records are lost.
        records: u64,
    },
    /// A setting that cannot work.
    #[error("{what}")]
    Setting {
        /// Which, and why.
        what: &'static str,
    },
    /// The operating system refused.
    #[error("{}", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(file: &Path, source: io::Error) -> Self {
        Self::Io {
            file: file.to_path_buf(),
            source,
        }
    }

    pub(crate) fn damaged(file: &Path, at: u64, what: &'static str) -> Self {
        Self::Damaged {
            file: file.to_path_buf(),
            at,
            what,
        }
    }
}
