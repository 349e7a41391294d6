//! How much of what there is.

use std::collections::BTreeMap;

use fairlead_canon::{EntityId, Spec};
use fairlead_ports::{Lsn, Marks, Space};

use super::Inspection;
use super::report::Report;
use super::walk::Seen;
use crate::error::OpenError;
use crate::index::{self, Applied, KvError, refused};
use crate::record::Record;
use crate::state::{Hidden, State};

/// How many, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What the log holds, and what it adds up to.
#[derive(Debug)]
pub struct Measures {
    /// Bytes of the log files, used or not.
    pub file_bytes: u64,
    /// Records by kind, with the bytes they take in the log.
    pub records: BTreeMap<&'static str, Sum>,
    /// Entities that exist: what each is, and how much is in it.
    pub entities: BTreeMap<EntityId, (Spec, Marks)>,
    /// Documents that exist, with the bytes of keys and values.
    pub documents: BTreeMap<Space, Sum>,
    /// Records of messages that an entity still keeps; one that several keep counts once.
    pub kept: Sum,
}

impl Sum {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Measures {
    /// Bytes of all records.
    pub fn record_bytes(&self) -> u64 {
        self.records.values().map(|sum| sum.bytes).sum()
    }

    /// Bytes of records that still count: messages that are kept, and documents.
    pub fn live_bytes(&self) -> u64 {
        let documents: u64 = self.documents.values().map(|sum| sum.bytes).sum();
        self.kept.bytes.saturating_add(documents)
    }
}

pub(super) fn measure(inspection: &Inspection) -> Result<(Report, Measures), OpenError> {
    let state = inspection.state()?;
    let applied = state
        .as_ref()
        .map_or(Ok(Applied::default()), |state| state.ground.index.applied());
    let path = inspection.dir.with_file_name(index::NAME);
    let failed = |error| refused(path.clone(), error);
    let applied = applied.map_err(failed)?.frame;
    let mut hidden = Vec::new();
    let mut records: BTreeMap<_, Sum> = BTreeMap::new();
    let report = inspection.walk(&mut |Seen { frame, at, .. }, record| {
        records
            .entry(kind(record))
            .or_default()
            .add(u64::from(at.len));
        // A frame is applied whole or not at all.
        if let Some(state) = state.as_ref().filter(|_| frame > applied) {
            state.apply(at, record, &mut hidden);
            hidden
                .drain(..)
                .for_each(|appended: Hidden| appended.show());
        }
    })?;
    let mut measures = Measures {
        file_bytes: inspection.files.iter().map(|file| file.bytes).sum(),
        records,
        entities: BTreeMap::new(),
        documents: BTreeMap::new(),
        kept: Sum::default(),
    };
    if let Some(state) = state {
        measures.add(&state).map_err(failed)?;
    }
    Ok((report, measures))
}

impl Measures {
    fn add(&mut self, state: &State) -> Result<(), KvError> {
        let mut places: BTreeMap<Lsn, u32> = BTreeMap::new();
        for id in state.entities()? {
            let Some(entity) = state.entity(id) else {
                continue;
            };
            let mut content = entity.content.lock();
            places.extend(content.places().map(|at| (at.lsn, at.len)));
            self.entities.insert(id, (content.spec, content.marks()));
        }
        places
            .values()
            .for_each(|len| self.kept.add(u64::from(*len)));
        state.documents.lock().all(&mut |space, document| {
            let bytes = document.key.len() + document.value.len();
            self.documents.entry(space).or_default().add(bytes as u64);
        })
    }
}

fn kind(record: &Record) -> &'static str {
    match record {
        Record::Data(_) => "append",
        Record::Create { .. } => "create",
        Record::Alter { .. } => "alter",
        Record::Delete { .. } => "delete",
        Record::Settle { .. } => "settle",
        Record::Trim { .. } => "trim",
        Record::Mark { .. } => "mark",
        Record::EndTxn { .. } => "end of a transaction",
        Record::Put { .. } => "put",
        Record::Sealed(_) => "sealed",
    }
}
