//! Which records of a log file or a segment somebody needs, and where they belong.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;

use bytes::Bytes;
use fairlead_canon::Offset;
use fairlead_ports::Lsn;

use super::{Live, SealError};
use crate::entity::Location;
use crate::frame::HEADER_BYTES;
use crate::homes::{Home, Site};
use crate::log_file::LogFile;
use crate::lsn::{PAGE, padded, position_of};
use crate::record::{self, Data, Record};
use crate::scan::whole;
use crate::sites::Sites;
use crate::state::State;
use crate::window::Window;

/// What of a file or a segment somebody needs.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) live: Vec<Live>,
    /// Entities that need a record, for all records together.
    pub(super) references: u64,
}

/// Looks at every whole frame of a file. Where one is not whole its records are not found, and the
/// references do not add up.
pub(super) fn of_file(state: &State, file: &LogFile) -> io::Result<Survey> {
    let mut survey = Survey::default();
    let mut window = Window::new(file);
    let mut position = PAGE;
    while position < file.bytes
        && let Some((header, records)) = whole(&mut window, file, position)?
    {
        for place in record::places(&records).map_while(|place| place) {
            let lsn = Lsn(header.lsn.0 + (HEADER_BYTES + place.start) as u64);
            survey.look(state, lsn, &records.slice(place));
        }
        position += padded(u64::from(header.len));
    }
    Ok(survey)
}

/// Looks at every record of a segment, and keeps those that somebody needs.
pub(super) fn of_segment(
    state: &State,
    sites: &Sites,
    home: &Home,
    kept: &mut BTreeMap<Lsn, Bytes>,
) -> Result<Survey, SealError> {
    let mut survey = Survey::default();
    let mut is_sound = true;
    sites
        .reader(home.site)?
        .visit(home.stamp, &mut |lsn, record| {
            is_sound &= record::is_intact(record);
            if survey.look(state, lsn, record) {
                // A copy: a slice would keep its block.
                kept.insert(lsn, Bytes::copy_from_slice(record));
            }
            ControlFlow::Continue(())
        })?;
    let what = || home.stamp.id.to_string();
    is_sound
        .then_some(survey)
        .ok_or_else(|| SealError::Damaged { what: what() })
}

/// The bytes of a record that was found in a file, verified once more.
pub(super) fn record_in(file: &LogFile, live: &Live) -> io::Result<Bytes> {
    let Location { lsn, len } = live.at();
    let mut bytes = vec![0; len as usize];
    let read = file.file.read_at(position_of(lsn), &mut bytes)?;
    bytes.truncate(read);
    let is_intact = record::is_intact(&bytes);
    is_intact
        .then(|| bytes.into())
        .ok_or(io::ErrorKind::InvalidData.into())
}

impl Survey {
    /// Adds a record if somebody needs it.
    fn look(&mut self, state: &State, lsn: Lsn, bytes: &Bytes) -> bool {
        let Some(Record::Data(data)) = Record::decode(bytes) else {
            return false;
        };
        let before = self.live.len();
        for site in Site::ALL {
            let mut needed = needed(state, lsn, &data).filter(|(at, ..)| *at == site);
            let Some((_, entity, base)) = needed.next() else {
                continue;
            };
            self.references += 1 + needed.count() as u64;
            self.live.push(Live {
                site,
                entity,
                base,
                lsn,
                len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            });
        }
        self.live.len() > before
    }
}

/// Who needs a record, and at which site.
fn needed(
    state: &State,
    lsn: Lsn,
    data: &Data,
) -> impl Iterator<Item = (Site, fairlead_canon::EntityId, Offset)> {
    data.targets.iter().filter_map(move |(id, base)| {
        let entity = state.entity(*id)?;
        let mut content = entity.content.lock();
        let class = content.spec.class;
        content
            .keeps(*base, lsn)
            .then(|| (Site::of_class(class), *id, *base))
    })
}
