//! Are the segments that the index names whole? Those in an object store are not asked for.

use std::ops::ControlFlow;
use std::path::Path;

use fairlead_segment::SegmentError;

use super::report::{Damage, Report};
use crate::error::OpenError;
use crate::homes::{Homes, Site};
use crate::record;
use crate::sites::Sites;

/// Reads all of them, and adds what is wrong to the report.
pub(super) fn check(
    dir: &Path,
    sites: &Sites,
    homes: &Homes,
    report: &mut Report,
) -> Result<(), OpenError> {
    let segments = homes.segments();
    for home in segments.iter().filter(|home| home.site == Site::Directory) {
        let path = dir.join("sealed").join(home.stamp.id.to_string());
        report.segments += 1;
        let mut is_sound = true;
        let read = sites.reader(home.site).and_then(|reader| {
            reader.visit(home.stamp, &mut |_, record| {
                is_sound &= record::is_intact(record);
                ControlFlow::Continue(())
            })
        });
        let damage = match read {
            Ok(()) if is_sound => continue,
            Ok(()) => Damage::new(path, 0, "the checksum of a record in this segment"),
            Err(SegmentError::Damaged { at, what }) => Damage::new(path, at, what),
            Err(SegmentError::Missing) => Damage::new(path, 0, "this segment is missing"),
            Err(error) => return Err(OpenError::io(&path, std::io::Error::other(error))),
        };
        report.damages.push(damage);
    }
    Ok(())
}
