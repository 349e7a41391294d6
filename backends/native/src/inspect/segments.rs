//! Are the segments that are needed whole?

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use fairlead_segment::SegmentError;

use super::report::{Damage, Report};
use crate::homes::{Home, Homes, Site};
use crate::record;
use crate::sites::Sites;

/// Reads all of them, and adds what is wrong, and what could not be read, to the report.
pub(super) fn check(dir: &Path, sites: &Sites, homes: &Homes, report: &mut Report) {
    for home in homes.segments() {
        if home.site == Site::Objects && report.unread_why.is_some() {
            report.unread.add(home.stamp.bytes);
            continue;
        }
        match read(sites, &home) {
            Ok(()) => report.segments.add(home.stamp.bytes),
            Err(error) => report.failed(dir, &home, error),
        }
    }
}

fn read(sites: &Sites, home: &Home) -> Result<(), SegmentError> {
    let mut is_sound = true;
    let reader = sites.reader(home.site)?;
    reader.visit(home.stamp, &mut |_, record| {
        is_sound &= record::is_intact(record);
        ControlFlow::Continue(())
    })?;
    is_sound.then_some(()).ok_or(unsound())
}

/// What a segment is that holds a record whose checksum is wrong.
pub(super) fn unsound() -> SegmentError {
    SegmentError::damaged(0, "the checksum of a record in this segment")
}

/// What a segment is called in a report.
fn path(dir: &Path, home: &Home) -> PathBuf {
    let place = match home.site {
        Site::Directory => dir.join("sealed"),
        Site::Objects => "objects:".into(),
    };
    place.join(home.stamp.id.to_string())
}

impl Report {
    /// A segment could not be read. An object store may be out of reach; a directory is not.
    pub(super) fn failed(&mut self, dir: &Path, home: &Home, error: SegmentError) {
        let (at, what) = match error {
            SegmentError::Damaged { at, what } => (at, what),
            SegmentError::Missing => (0, "this segment is missing"),
            SegmentError::Unavailable { what } if home.site == Site::Objects => {
                self.unread.add(home.stamp.bytes);
                self.unread_why.get_or_insert(what);
                return;
            }
            SegmentError::Unavailable { .. } | SegmentError::Exists => {
                (0, "this segment cannot be read")
            }
        };
        self.damages.push(Damage::new(path(dir, home), at, what));
    }
}
