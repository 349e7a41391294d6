//! Segments that nothing refers to any more, and when they may go.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_canon::Timestamp;
use fairlead_segment::Stamp;
use tokio::time::Instant;

use super::View;
use crate::homes::{Home, Homes, Site};
use crate::limits::{ORPHAN_AGE_MS, SEGMENT_GRACE};
use crate::sites::Sites;

/// Segments on their way out.
#[derive(Debug, Default)]
pub(crate) struct Grave {
    /// What the last checkpoint referred to.
    known: BTreeSet<Home>,
    /// When each may be deleted: readers may be about to look into it until then.
    due: BTreeMap<Home, Instant>,
}

impl Grave {
    /// Knows what is referred to when a store is opened.
    pub(crate) fn knowing(homes: &Homes) -> Self {
        Self {
            known: homes.segments(),
            due: BTreeMap::new(),
        }
    }

    /// Learns what a durable checkpoint does not refer to any more.
    pub(super) fn learn(&mut self, view: &View) {
        let segments = view.homes.segments();
        let due = Instant::now() + SEGMENT_GRACE;
        for home in self.known.difference(&segments) {
            self.due.entry(*home).or_insert(due);
        }
        self.due.retain(|home, _| !segments.contains(home));
        self.known = segments;
    }

    /// When there is something to be deleted.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// Deletes what is due. What cannot be deleted is an orphan from then on.
    pub(super) fn bury(&mut self, sites: &Sites) {
        let now = Instant::now();
        for (home, _) in self.due.extract_if(.., |_, due| *due <= now) {
            delete(sites, &home);
        }
    }

    /// Deletes segments that nothing refers to: no checkpoint that is durable, and not `named`, what the log says. In an
    /// object store only those that were made long ago, as what an earlier process asked of it may come later; the
    /// directory is this process's alone. The clock may have jumped, so that age alone says nothing.
    pub(crate) fn sweep(&self, sites: &Sites, named: &BTreeSet<Home>, now: Timestamp) {
        for site in Site::ALL.into_iter().filter(|site| sites.has(*site)) {
            let ids = sites.list(site).unwrap_or_else(|error| {
                tracing::warn!(%error, ?site, "segments could not be listed");
                Vec::new()
            });
            let known = |id| {
                let is_it = |home: &Home| home.site == site && home.stamp.id == id;
                let known = self.known.iter().chain(self.due.keys());
                known.chain(named).any(is_it)
            };
            let age = match site {
                Site::Directory => 0,
                Site::Objects => ORPHAN_AGE_MS,
            };
            for id in ids {
                let is_left = age == 0 || id.made.saturating_add(age) <= now.0;
                if is_left && !known(id) {
                    let stamp = Stamp { id, bytes: 0 };
                    delete(sites, &Home { site, stamp });
                }
            }
        }
    }
}

fn delete(sites: &Sites, home: &Home) {
    let id = home.stamp.id;
    match sites.delete(home) {
        Ok(()) => tracing::info!(%id, "a segment that nobody needs was deleted"),
        Err(error) => tracing::warn!(%id, %error, "a segment that nobody needs is still there"),
    }
}
