//! The records that an entity keeps in segments, among those of the log.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use fairlead_canon::EntityId;
use fairlead_ports::Lsn;
use fairlead_segment::SegmentError;

use super::Inspection;
use super::entry::{Entry, Kept, Segment};
use super::report::{Damage, Report};
use super::segments::unsound;
use crate::entity::Location;
use crate::error::OpenError;
use crate::homes::{Home, Homes};
use crate::lsn::{file_of, position_of};
use crate::record::{self, Record};
use crate::sites::Sites;

/// What an entity keeps outside the log and was not shown yet, by address.
struct Sealed {
    rest: BTreeMap<Lsn, u32>,
    homes: Homes,
    sites: Sites,
    dir: PathBuf,
    /// What could not be read of it.
    report: Report,
}

/// Visits the records of the log, and those of the entity that are in segments, by address.
pub(super) fn read_with(
    inspection: &Inspection,
    entity: EntityId,
    visit: &mut dyn FnMut(Entry),
) -> Result<Report, OpenError> {
    let state = inspection.state()?;
    inspection.replay(state.as_ref(), Report::default(), &mut |_, _| {})?;
    let Some((state, sites)) = state.zip(inspection.sites()) else {
        return inspection.read(visit);
    };
    let is_sealed = |at: &Location| {
        let number = file_of(at.lsn);
        !inspection.files.iter().any(|file| file.number == number)
    };
    let rest = state.entity(entity).map(|entity| {
        let content = entity.content.lock();
        let places = content.places().filter(is_sealed);
        places.map(|at| (at.lsn, at.len)).collect()
    });
    let mut sealed = Sealed {
        rest: rest.unwrap_or_default(),
        homes: state.ground.homes.lock().clone(),
        sites,
        dir: inspection.home().into(),
        report: Report::default(),
    };
    let mut report = inspection.read(&mut |entry| {
        sealed.show_before(entry.lsn, visit);
        visit(entry);
    })?;
    sealed.show_before(Lsn(u64::MAX), visit);
    report.damages.append(&mut sealed.report.damages);
    report.unread = sealed.report.unread;
    report.unread_why = sealed.report.unread_why;
    Ok(report)
}

impl Sealed {
    fn show_before(&mut self, end: Lsn, visit: &mut dyn FnMut(Entry)) {
        while let Some((&lsn, &len)) = self.rest.first_key_value().filter(|(lsn, _)| **lsn < end) {
            self.rest.remove(&lsn);
            let at = Location { lsn, len };
            if let Some(entry) = self.find(at) {
                visit(entry);
            }
        }
    }

    fn find(&mut self, at: Location) -> Option<Entry> {
        let number = file_of(at.lsn);
        let mut failed = None;
        for home in self.homes.of(number) {
            match self.record(home, at) {
                Ok(Some(record)) => {
                    let kept = Kept::Segment(Segment::of(home));
                    return Some(Entry::at(at, kept, &record));
                }
                // It is in the other one.
                Ok(None) => {}
                Err(error) => failed = Some((*home, error)),
            }
        }
        match failed {
            Some((home, error)) => self.report.failed(&self.dir, &home, error),
            None => {
                let what = "a record that was sealed is in none of its segments";
                let damage = Damage::new(number.name().into(), position_of(at.lsn), what);
                self.report.damages.push(damage);
            }
        }
        None
    }

    fn record(&self, home: &Home, at: Location) -> Result<Option<Record>, SegmentError> {
        let whole = |bytes: Bytes| {
            let record = record::is_intact(&bytes).then(|| Record::decode(&bytes));
            record.flatten().ok_or(unsound())
        };
        let bytes = self.sites.record(home, at.lsn, at.len)?;
        bytes.map(whole).transpose()
    }
}
