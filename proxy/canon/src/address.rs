//! Where a message is published: a path of byte segments in a realm.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

/// A set of addresses with one matching rule. Numbers are given by topology; the first two are fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealmId(pub u64);

impl RealmId {
    /// The realm that all protocols share without configuration.
    pub const SHARED: Self = Self(1);
    /// The realm of queue names, matched exactly.
    pub const QUEUES: Self = Self(2);
}

/// A list of byte segments, kept in its stored form: `u16` big-endian length and bytes, per segment.
///
/// The list of one empty segment does not exist; the constructor gives the empty list instead.
/// Cloning copies a reference count. Stored forms sort and share prefixes by whole segments.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Bytes);

/// A place in the mesh to which messages are published.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The realm that matches this address.
    pub realm: RealmId,
    /// Its segments.
    pub path: Path,
}

/// Builds a [`Path`] segment by segment.
#[derive(Debug, Default)]
pub struct PathBuilder {
    bytes: BytesMut,
    too_long: bool,
}

/// A path, or one segment of it, is above [`Path::BYTES_MAX`], or stored bytes are not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a path or segment is longer than {} bytes, or its stored form is damaged",
    Path::BYTES_MAX
)]
pub struct PathTooLong;

/// The segments of a path, in order.
#[derive(Clone, Debug)]
pub struct Segments<'a>(&'a [u8]);

impl Address {
    /// An address in `realm`.
    pub fn new(realm: RealmId, path: Path) -> Self {
        Self { realm, path }
    }

    /// An address in the realm that all protocols share.
    pub fn shared(path: Path) -> Self {
        Self::new(RealmId::SHARED, path)
    }
}

impl Path {
    /// The longest stored form: a name of 65,535 bytes with a length before each of its segments
    /// (at worst all of them empty).
    pub const BYTES_MAX: usize = 3 * 65_536;

    /// The empty path.
    pub const EMPTY: Self = Self(Bytes::new());

    /// Joins segments.
    pub fn from_segments<I>(segments: I) -> Result<Self, PathTooLong>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let mut builder = PathBuilder::default();
        for segment in segments {
            builder.push(segment.as_ref());
        }
        builder.build()
    }

    /// Reads a stored form without copying it; refuses one whose lengths do not add up.
    pub fn from_stored(stored: Bytes) -> Result<Self, PathTooLong> {
        if stored.len() > Self::BYTES_MAX {
            return Err(PathTooLong);
        }
        let mut rest: &[u8] = &stored;
        while !rest.is_empty() {
            let (_, after) = split_segment(rest).ok_or(PathTooLong)?;
            rest = after;
        }
        Ok(if *stored == [0, 0] {
            Self::EMPTY
        } else {
            Self(stored)
        })
    }

    /// The stored form.
    pub fn as_stored(&self) -> &Bytes {
        &self.0
    }

    /// The segments in order.
    pub fn segments(&self) -> Segments<'_> {
        Segments(&self.0)
    }

    /// Whether there is no segment at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PathBuilder {
    /// Adds a segment.
    pub fn push(&mut self, segment: &[u8]) {
        let fits = self.bytes.len() + segment.len() + 2 <= Path::BYTES_MAX;
        match u16::try_from(segment.len()) {
            Ok(len) if fits => {
                self.bytes.reserve(segment.len() + 2);
                self.bytes.put_u16(len);
                self.bytes.put_slice(segment);
            }
            _ => self.too_long = true,
        }
    }

    /// The path, or an error if a segment or the whole was too long.
    pub fn build(self) -> Result<Path, PathTooLong> {
        if self.too_long {
            return Err(PathTooLong);
        }
        Ok(if *self.bytes == [0, 0] {
            Path::EMPTY
        } else {
            Path(self.bytes.freeze())
        })
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (segment, rest) = split_segment(self.0)?;
        self.0 = rest;
        Some(segment)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self
            .segments()
            .map(|segment| segment.escape_ascii().to_string());
        f.debug_list().entries(shown).finish()
    }
}

fn split_segment(stored: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = stored.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}
