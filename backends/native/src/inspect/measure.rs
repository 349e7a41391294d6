//! How much of what there is.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_canon::{EntityId, Spec};
use fairlead_ports::{Lsn, Marks, Space};

use super::Inspection;
use super::report::Report;
use super::walk::Seen;
use crate::error::OpenError;
use crate::homes::{Home, Homes, Site};
use crate::index::{KvError, refused};
use crate::lsn::file_of;
use crate::record::Record;
use crate::sites::Sites;
use crate::state::State;

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
    /// Segments, by where they are.
    pub segments: BTreeMap<Site, SegmentSum>,
}

/// Segments in one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentSum {
    /// All of them, with the bytes they take there.
    pub all: Sum,
    /// The records in them that somebody still keeps, before compression.
    pub live: Sum,
    /// How many others are there that nothing names, which a node deletes: what a write that was cut off left, and what
    /// was written anew. `None` when the place could not be listed.
    pub unnamed: Option<u64>,
}

impl Sum {
    pub(super) fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Measures {
    /// Bytes of all records in the log.
    pub fn record_bytes(&self) -> u64 {
        self.records.values().map(|sum| sum.bytes).sum()
    }

    /// Bytes of records in the log that still count: messages that are kept there, and documents.
    pub fn live_bytes(&self) -> u64 {
        let documents: u64 = self.documents.values().map(|sum| sum.bytes).sum();
        let sealed: u64 = self.segments.values().map(|sum| sum.live.bytes).sum();
        let kept = self.kept.bytes.saturating_sub(sealed);
        kept.saturating_add(documents)
    }
}

pub(super) fn measure(inspection: &Inspection) -> Result<(Report, Measures), OpenError> {
    let state = inspection.state()?;
    let mut records: BTreeMap<_, Sum> = BTreeMap::new();
    let found = inspection.found.clone();
    let report = inspection.replay(state.as_ref(), found, &mut |Seen { at, .. }, record| {
        records
            .entry(kind(record))
            .or_default()
            .add(u64::from(at.len));
    })?;
    let mut measures = Measures {
        file_bytes: inspection.files.iter().map(|file| file.bytes).sum(),
        records,
        entities: BTreeMap::new(),
        documents: BTreeMap::new(),
        kept: Sum::default(),
        segments: BTreeMap::new(),
    };
    if let Some(state) = state {
        let failed = |error| refused(inspection.index_path(), error);
        measures.add(&state).map_err(failed)?;
        if let Some(sites) = inspection.sites() {
            measures.count_unnamed(&sites, &state.ground.homes.lock().segments());
        }
    }
    Ok((report, measures))
}

impl Measures {
    fn add(&mut self, state: &State) -> Result<(), KvError> {
        // By address: several may keep one record.
        let mut places: BTreeMap<Lsn, (u32, Site)> = BTreeMap::new();
        for id in state.entities()? {
            let Some(entity) = state.entity(id) else {
                continue;
            };
            let mut content = entity.content.lock();
            let site = Site::of_class(content.spec.class);
            places.extend(content.places().map(|at| (at.lsn, (at.len, site))));
            self.entities.insert(id, (content.spec, content.marks()));
        }
        let homes = state.ground.homes.lock().clone();
        for home in homes.segments() {
            let sum = self.segments.entry(home.site).or_default();
            sum.all.add(home.stamp.bytes);
        }
        for (lsn, (len, site)) in places {
            self.kept.add(u64::from(len));
            if let Some(site) = site_of(&homes, lsn, site) {
                self.segments
                    .entry(site)
                    .or_default()
                    .live
                    .add(u64::from(len));
            }
        }
        state.documents.lock().all(&mut |space, document| {
            let bytes = document.key.len() + document.value.len();
            self.documents.entry(space).or_default().add(bytes as u64);
        })
    }
}

impl Measures {
    fn count_unnamed(&mut self, sites: &Sites, named: &BTreeSet<Home>) {
        for site in Site::ALL.into_iter().filter(|site| sites.has(*site)) {
            let here = named.iter().filter(|home| home.site == site);
            let here: BTreeSet<_> = here.map(|home| home.stamp.id).collect();
            let count = |ids: Vec<_>| ids.iter().filter(|id| !here.contains(id)).count() as u64;
            let unnamed = sites.list(site).ok().map(count);
            if unnamed != Some(0) || self.segments.contains_key(&site) {
                self.segments.entry(site).or_default().unnamed = unnamed;
            }
        }
    }
}

/// Where a record is that belongs at a site, if it was sealed: there, unless it has yet to move.
fn site_of(homes: &Homes, lsn: Lsn, belongs: Site) -> Option<Site> {
    let homes = homes.of(file_of(lsn));
    let is_there = homes.iter().any(|home| home.site == belongs);
    let first = homes.first().map(|home| home.site);
    if is_there { Some(belongs) } else { first }
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
        Record::Restore { .. } => "restore",
    }
}
