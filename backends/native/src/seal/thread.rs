//! The thread that seals.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fairlead_ports::Condition;
use fairlead_segment::SegmentId;
use tokio::time::Instant;

use super::bench::News;
use super::grave::Grave;
use super::scrub::Scrub;
use super::{Restless, SealError, Sealer, View};
use crate::call::Job;
use crate::homes::{Home, Sealed};
use crate::limits::{ORPHANS_EVERY, SEGMENT_GRACE};
use crate::lsn::FileNo;
use crate::sequencer::Shared;

#[derive(Debug)]
pub(crate) struct SealThread {
    shared: Arc<Shared>,
    sealer: Sealer,
    grave: Grave,
    scrub: Scrub,
    /// The newest checkpoint.
    view: Option<View>,
    restless: Restless,
    /// What could not be read: it is not tried again by this process.
    damaged: BTreeSet<FileNo>,
    damaged_segments: BTreeSet<SegmentId>,
    /// What was last said of what failed, and when.
    said: Option<(String, Instant)>,
}

/// How long to wait before looking again at what somebody copies.
const HELD_FOR: Duration = Duration::from_secs(1);

/// How long what fails again in the same way is not said again.
const SAID_FOR: Duration = Duration::from_secs(60);

/// The store takes no more.
struct Closed;

impl SealThread {
    pub(crate) fn new(shared: Arc<Shared>, sealer: Sealer) -> Self {
        let grave = Grave::knowing(&shared.state.ground.homes.lock());
        Self {
            shared,
            sealer,
            grave,
            scrub: Scrub::new(Instant::now()),
            view: None,
            restless: Restless::default(),
            damaged: BTreeSet::new(),
            damaged_segments: BTreeSet::new(),
            said: None,
        }
    }

    /// Works until the store is closed.
    pub(crate) fn run(mut self) {
        if self.resume().is_err() {
            return;
        }
        let mut sweep = Instant::now() + SEGMENT_GRACE;
        loop {
            let soonest = sweep.min(self.scrub.next());
            let mut until = self.grave.next().map_or(soonest, |due| due.min(soonest));
            if self.shared.holds.any() {
                until = until.max(Instant::now() + HELD_FOR);
            }
            match self.shared.bench.wait(until) {
                News::Closed => return,
                News::View(view) => {
                    if self.look(&view).is_err() {
                        return;
                    }
                    self.view = Some(view);
                }
                News::Due => {}
            }
            if self.shared.holds.any() {
                // What somebody copies stays until a later look.
                continue;
            }
            self.grave.bury(&self.sealer.sites);
            if self.relieve().is_err() {
                return;
            }
            self.verify();
            if sweep <= Instant::now() {
                let named = self.shared.state.ground.homes.lock().segments();
                let (sites, now) = (&self.sealer.sites, self.sealer.wall());
                self.grave.sweep(sites, &named, now);
                sweep = Instant::now() + ORPHANS_EVERY;
            }
        }
    }

    /// Goes on with what the last process was moving, which an idle store would never come to.
    fn resume(&mut self) -> Result<(), Closed> {
        if !self.shared.state.ground.moved.lock().any() {
            return Ok(());
        }
        let view = self.now();
        self.restless.learn(&self.shared.state, &view.homes);
        self.rewrite(&view)
    }

    /// Reads a little of what is kept, if it is time.
    fn verify(&mut self) {
        let state = &self.shared.state;
        let view = self.view.clone().unwrap_or_else(|| self.now());
        let step = self.scrub.step(Instant::now(), &self.sealer, state, &view);
        if let Err(error) = step {
            self.failed(&error, "what is kept");
        }
    }

    /// How everything is before the first checkpoint.
    fn now(&self) -> View {
        let ground = &self.shared.state.ground;
        View {
            uses: ground.uses.lock().clone(),
            homes: ground.homes.lock().clone(),
            applied: self.shared.desk.last(),
        }
    }

    fn look(&mut self, view: &View) -> Result<(), Closed> {
        self.grave.learn(view);
        // The checkpoint may be older than what was sealed last.
        let view = &View {
            homes: self.shared.state.ground.homes.lock().clone(),
            ..view.clone()
        };
        self.restless.learn(&self.shared.state, &view.homes);
        for file in self.sealer.due(view) {
            if self.shared.bench.is_closed() {
                return Err(Closed);
            }
            if !self.damaged.contains(&file) {
                self.seal(file)?;
            }
        }
        let emptied = self.sealer.emptied(view);
        if !emptied.0.is_empty() {
            // The rest waits for the next checkpoint, which this brings about.
            return self.commit(emptied);
        }
        self.rewrite(view)
    }

    /// While the store is full, moves what is still needed out of a file that has little of it.
    fn relieve(&mut self) -> Result<(), Closed> {
        let is_full = self.shared.told.get() == Condition::Full;
        let Some(view) = self.view.as_ref().filter(|_| is_full) else {
            return Ok(());
        };
        // The checkpoint may be older than what was sealed last.
        let homes = self.shared.state.ground.homes.lock().clone();
        let sparse = self.sealer.sparse(&View {
            homes,
            ..view.clone()
        });
        let sound = sparse.into_iter().find(|file| !self.damaged.contains(file));
        sound.map_or(Ok(()), |file| self.seal(file))
    }

    fn seal(&mut self, file: FileNo) -> Result<(), Closed> {
        match self.sealer.seal(&self.shared.state, file) {
            Ok(sealed) => self.commit(sealed)?,
            // A later look finds it settled.
            Err(SealError::Unsettled) => {}
            Err(error) => {
                self.failed(&error, &file.name());
                self.damaged.extend(error.is_final().then_some(file));
            }
        }
        Ok(())
    }

    fn rewrite(&mut self, view: &View) -> Result<(), Closed> {
        let is_sound = |home: &Home| !self.damaged_segments.contains(&home.stamp.id);
        let mut thin = self.sealer.thin(view, &self.restless);
        thin.retain(is_sound);
        if thin.is_empty() {
            self.restless.clear(&self.shared.state);
            return Ok(());
        }
        match self.sealer.rewrite(&self.shared.state, &view.homes, &thin) {
            Ok(sealed) => {
                self.restless.settle(&thin, &sealed);
                self.commit(sealed)?;
            }
            Err(error) => {
                self.failed(&error, "segments");
                if error.is_final() {
                    let ids = thin.iter().map(|home| home.stamp.id);
                    self.damaged_segments.extend(ids);
                }
            }
        }
        Ok(())
    }

    /// Puts it in the log, and waits until it is durable.
    fn commit(&mut self, sealed: Sealed) -> Result<(), Closed> {
        let files = sealed.0.len();
        let (job, call) = Job::sealing(sealed);
        self.shared.inbox.push(job);
        match call.wait().into_iter().next() {
            Some(Ok(_)) => {
                self.said = None;
                tracing::info!(files, "log files were sealed");
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "what was sealed could not be recorded and is left alone");
            }
            None => return Err(Closed),
        }
        Ok(())
    }

    fn failed(&mut self, error: &SealError, what: &str) {
        if error.is_final() {
            self.shared.meter.corrupt();
        }
        // While a disk is full it is tried again each second.
        let (text, now) = (format!("{what}: {error:?}"), Instant::now());
        if matches!(&self.said, Some((said, at)) if *said == text && now - *at < SAID_FOR) {
            return;
        }
        self.said = Some((text, now));
        let error = error as &dyn std::error::Error;
        tracing::error!(
            error,
            what,
            "not everything that is kept could be read or moved; it stays where it is"
        );
    }
}
