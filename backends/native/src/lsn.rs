//! Addresses in the commit log: `file number << 26 | position in the file`.

use fairlead_ports::Lsn;

/// Bits of an LSN that are the position in its file; a file is at most this large.
const POSITION_BITS: u32 = 26;
/// The largest a log file can be, in bytes.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << POSITION_BITS;
/// What frames start on: a later write never touches a page that holds durable data.
pub(crate) const PAGE_BYTES: usize = 4096;
/// [`PAGE_BYTES`], for positions.
pub(crate) const PAGE: u64 = PAGE_BYTES as u64;

/// Number of a log file, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileNo(pub(crate) u64);

impl FileNo {
    pub(crate) const FIRST: Self = Self(1);

    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Where its first frame lies: behind the file header.
    pub(crate) fn first_frame(self) -> Lsn {
        at(self, PAGE)
    }

    /// Its name in the directory `wal`.
    pub(crate) fn name(self) -> String {
        format!("{:016}.wal", self.0)
    }

    /// The number in a name that [`FileNo::name`] made.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let digits = name.strip_suffix(".wal")?;
        let number = digits.parse().ok().map(Self)?;
        (number.name() == name && number >= Self::FIRST).then_some(number)
    }
}

/// The address of a position in a file; positions are below [`FILE_BYTES_MAX`].
pub(crate) fn at(file: FileNo, position: u64) -> Lsn {
    Lsn((file.0 << POSITION_BITS).saturating_add(position))
}

pub(crate) fn file_of(lsn: Lsn) -> FileNo {
    FileNo(lsn.0 >> POSITION_BITS)
}

pub(crate) fn position_of(lsn: Lsn) -> u64 {
    lsn.0 & (FILE_BYTES_MAX - 1)
}

/// Rounds up to whole pages.
pub(crate) fn padded(len: u64) -> u64 {
    len.div_ceil(PAGE).saturating_mul(PAGE)
}
