//! Records leave the log for segments, at any moment of which the power may fail.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{Batch, Class, EntityId, Kind, Offset, Outcome, Promise, Spec, Timestamp};
use fairlead_ports::{Op, Place, StoreError, Unit};
use fairlead_segment::{LogId, SegmentId, Segments};
use fairlead_testkit::make::{A, B, append, create, message, settle};
use fairlead_testkit::trace::digest;
use tokio::time::Instant;

use super::{Inline, Script, check, objects, open};
use crate::call::Job;
use crate::entity::Location;
use crate::homes::{Home, Sealed, Site};
use crate::limits::ORPHAN_AGE_MS;
use crate::lsn::{FileNo, file_of, position_of};
use crate::pool::Filled;
use crate::record;
use crate::seal::{Grave, Scrub, SealError, View};
use crate::sequencer::{Press, Taken};
use crate::sites::Directory;
use crate::vfs::Vfs;
use crate::vfs::sim::SimFs;
use crate::{Inspection, Kept, Said, SegmentSum};

impl Inline {
    fn checkpoint(&self) -> std::io::Result<()> {
        self.write_checkpoint(self.begin_checkpoint())
    }

    fn commit_sealed(&mut self, sealed: Sealed) -> std::io::Result<()> {
        if sealed.0.is_empty() {
            return Ok(());
        }
        while self.pool.fill()? == Filled::More {}
        let (mut job, _replied) = Job::sealing(sealed);
        assert_eq!(self.sequencer.take(&mut job), Taken::All);
        self.sequencer.answer(job);
        self.work(Press::All)
    }

    /// Seals all files but the last, forgets what nobody needs, rewrites what is thin, and deletes
    /// what is not referred to any more, without any grace.
    pub(super) fn seal(&mut self) -> std::io::Result<()> {
        self.checkpoint()?;
        let Some(view) = self.shared.bench.take() else {
            return Ok(());
        };
        for file in self.sealer.due(&view) {
            match self.sealer.seal(&self.shared.state, file) {
                Err(SealError::Unsettled) => {}
                sealed => self.commit_sealed(sealed.map_err(std::io::Error::other)?)?,
            }
        }
        self.commit_sealed(self.sealer.emptied(&view))?;
        let homes = self.shared.state.ground.homes.lock().clone();
        self.restless.learn(&self.shared.state, &homes);
        let thin = self.sealer.thin(&view, &self.restless);
        if !thin.is_empty() {
            let homes = self.shared.state.ground.homes.lock().clone();
            let sealed = self.sealer.rewrite(&self.shared.state, &homes, &thin);
            let sealed = sealed.map_err(std::io::Error::other)?;
            self.restless.settle(&thin, &sealed);
            self.commit_sealed(sealed)?;
        } else {
            self.restless.clear(&self.shared.state);
        }
        self.checkpoint()?;
        let now = self.shared.state.ground.homes.lock().segments();
        for gone in view.homes.segments().difference(&now) {
            let deleted = self.sealer.sites.delete(gone);
            deleted.map_err(std::io::Error::other)?;
        }
        Ok(())
    }

    /// Moves an entity that is there to the other place that outlives the process.
    pub(super) fn change_class(&mut self, entity: EntityId) -> std::io::Result<()> {
        let spec = self.shared.state.look(entity, |content| Ok(content.spec));
        let Ok(spec) = spec else { return Ok(()) };
        let class = match spec.class {
            Class::Object => Class::Local,
            Class::Local | Class::Memory => Class::Object,
        };
        let spec = Spec { class, ..spec };
        let unit = Unit {
            ops: [Op::Alter { entity, spec }].into(),
            promise: Promise::Durable,
        };
        self.commit(unit).map(drop)
    }

    fn segments(&self) -> BTreeSet<Home> {
        self.shared.state.ground.homes.lock().segments()
    }

    pub(super) fn done(&mut self, ops: Vec<Op>) {
        let promise = Promise::Durable;
        let ops = ops.into();
        let outcomes = self.commit(Unit { ops, promise }).unwrap();
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }
}

fn files_of(fs: &SimFs, dir: &str) -> Vec<String> {
    let mut names = fs.list(Path::new(dir)).unwrap();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_long_trace_with_sealing_and_restarts_ends_as_in_memory() {
    for seed in 0..6 {
        let script = Script::new(seed, 300).await.sealing(3);
        let fs = SimFs::default();
        assert_eq!(script.play(&fs), 300);
        for dir in ["data/sealed", "objects"] {
            assert!(!files_of(&fs, dir).is_empty(), "seed {seed}: {dir}");
        }
        let subject = open(&fs).unwrap();
        assert_eq!(Some(&digest(&subject).await), script.digests.last());
    }
}

/// Fills several files of the log with what A and B keep.
fn filled(store: &mut Inline) {
    store.done(vec![create(A, Kind::Queue), create(B, Kind::Log)]);
    for n in 0..60 {
        let body = "x".repeat(3_000) + &n.to_string();
        let entity: EntityId = if n % 2 == 0 { A } else { B };
        store.done(vec![append(entity, message(body))]);
    }
}

#[tokio::test]
async fn a_sealed_file_is_used_again_and_its_messages_are_still_there() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    filled(&mut store);
    let before = files_of(&fs, "data/wal").len();
    store.seal().unwrap();
    assert!(store.files.count() < before as u64, "files went back");
    assert!(!store.segments().is_empty());
    drop(store);
    let subject = open(&fs).unwrap();
    assert_eq!(subject.bodies(A).await.len(), 30);
    let bodies = subject.bodies(B).await;
    let last = bodies.last().unwrap();
    assert_eq!((bodies.len(), last.0), (30, 29));
    assert!(last.1.ends_with(b"x59"), "{last:?}");
}

#[tokio::test]
async fn a_segment_under_half_alive_is_written_anew_and_an_empty_one_goes() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    filled(&mut store);
    store.seal().unwrap();
    let (first, on_disk) = (store.segments(), files_of(&fs, "data/sealed"));
    assert_eq!(first.len(), on_disk.len());
    // A takes half of each segment; with some of B less than half is left.
    store.done(vec![settle(A, 0..30, Outcome::Done)]);
    store.done(vec![Op::Trim {
        entity: B,
        to: Offset(4),
    }]);
    store.seal().unwrap();
    let second = store.segments();
    assert!(second.len() <= first.len() && second != first, "{second:?}");
    assert_eq!(files_of(&fs, "data/sealed").len(), second.len());
    store.done(vec![Op::Trim {
        entity: B,
        to: Offset(30),
    }]);
    store.seal().unwrap();
    store.seal().unwrap();
    assert_eq!(store.segments(), BTreeSet::new());
    assert_eq!(files_of(&fs, "data/sealed"), Vec::<String>::new());
}

#[tokio::test]
async fn a_missing_segment_refuses_the_start_and_names_it() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    filled(&mut store);
    store.seal().unwrap();
    drop(store);
    let name = files_of(&fs, "data/sealed").remove(0);
    fs.remove(&Path::new("data/sealed").join(&name)).unwrap();
    let refusal = open(&fs).unwrap_err().to_string();
    assert_eq!(refusal, format!("data/sealed/{name} is missing"));
}

#[tokio::test]
async fn an_entity_can_only_be_of_class_object_where_there_is_an_object_store() {
    let fs = SimFs::default();
    let mut store = Inline::open_with(&fs, None).unwrap();
    let spec = Spec::new(Kind::Log, Class::Object);
    store.done(vec![create(B, Kind::Log)]);
    for op in [
        Op::Create { entity: A, spec },
        Op::Alter { entity: B, spec },
    ] {
        let promise = Promise::Durable;
        let ops = [op].into();
        let outcomes = store.commit(Unit { ops, promise }).unwrap();
        let what = "class object without an object store";
        assert_eq!(&outcomes[..], [Err(StoreError::Unsupported { what })]);
    }
}

#[tokio::test]
async fn what_is_sealed_follows_its_entity_into_the_object_store_and_back() {
    let fs = SimFs::default();
    let far = Arc::new(SimFs::default());
    let objects = Directory::new(Arc::new(SimFs::clone(&far)), "objects".into());
    let objects: Arc<dyn Segments> = Arc::new(objects);
    let open = || Inline::open_with(&fs, Some(Arc::clone(&objects))).unwrap();
    let mut store = open();
    filled(&mut store);
    store.seal().unwrap();
    assert_eq!(files_of(&far, "objects"), Vec::<String>::new());
    for (class, site) in [
        (Class::Object, Site::Objects),
        (Class::Local, Site::Directory),
    ] {
        let entity = B;
        let spec = Spec::new(Kind::Log, class);
        store.done(vec![Op::Alter { entity, spec }]);
        // A stop before anything was moved must not leave it where it is for good.
        store.checkpoint().unwrap();
        store.close().unwrap();
        store = open();
        // About as much as a file at a time.
        for _ in 0..8 {
            store.seal().unwrap();
        }
        let homes = store.segments();
        let (here, there) = (files_of(&fs, "data/sealed"), files_of(&far, "objects"));
        assert_eq!(homes.len(), here.len() + there.len());
        assert!(!store.shared.state.ground.moved.lock().any());
        // A stays here, where B goes.
        assert_eq!(there.is_empty(), site == Site::Directory, "{there:?}");
        let bodies = read_all(&store, B);
        assert_eq!(bodies.len(), 30);
        assert!(bodies.iter().all(|batch| batch.bytes.len() > 3_000));
    }
}

/// What the segments and the log have of an entity, read as a reader would.
fn read_all(store: &Inline, entity: EntityId) -> Vec<Batch> {
    let entity = store.shared.state.entity(entity).unwrap();
    let places: Vec<_> = entity.content.lock().places().collect();
    let sites = &store.sealer.sites;
    let homes = store.shared.state.ground.homes.lock().clone();
    let find = |at: Location| {
        if let Some(file) = store.files.get(file_of(at.lsn)) {
            let mut bytes = vec![0; at.len as usize];
            file.file.read_at(position_of(at.lsn), &mut bytes).unwrap();
            return record::batch_of(&bytes.into()).unwrap();
        }
        let mut homes = homes.of(file_of(at.lsn)).iter();
        let found = homes.find_map(|home| sites.record(home, at.lsn, at.len).unwrap());
        record::batch_of(&found.expect("a record in one of its homes")).unwrap()
    };
    places.into_iter().map(find).collect()
}

#[tokio::test]
async fn what_was_sealed_behind_the_last_checkpoint_is_checked_and_checkpointed_at_the_end() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    filled(&mut store);
    store.checkpoint().unwrap();
    let view = store.shared.bench.take().unwrap();
    for file in store.sealer.due(&view) {
        let sealed = store.sealer.seal(&store.shared.state, file).unwrap();
        store.commit_sealed(sealed).unwrap();
    }
    drop(store);
    let report = check(&fs).unwrap();
    assert_eq!(
        report.segments.count,
        files_of(&fs, "data/sealed").len() as u64
    );
    assert_ne!(report.begin, report.end);
    drop(open(&fs).unwrap());
    let report = check(&fs).unwrap();
    assert_eq!(
        report.segments.count,
        files_of(&fs, "data/sealed").len() as u64
    );
    assert_eq!(report.begin, report.end, "nothing is left to be read");
}

#[test]
fn a_measure_counts_segments_that_nothing_names() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    filled(&mut store);
    store.seal().unwrap();
    store.close().unwrap();
    let unnamed = || {
        let inspection = Inspection::open(Path::new("data"), &fs).unwrap();
        let (_, measures) = inspection.measure().unwrap();
        let SegmentSum { all, unnamed, .. } = measures.segments[&Site::Directory];
        assert!(all.count > 0);
        unnamed
    };
    assert_eq!(unnamed(), Some(0));
    let (made, random) = (1_000, 7);
    let (id, parts) = (SegmentId { made, random }, [Bytes::from("left")]);
    let directory = Directory::new(Arc::new(fs.clone()), "data/sealed".into());
    directory.create(LogId([0; 16]), id, &parts).unwrap();
    assert_eq!(unnamed(), Some(1));
}

#[tokio::test]
async fn what_was_sealed_behind_the_last_checkpoint_is_no_orphan_however_the_clock_jumps() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    filled(&mut store);
    store.checkpoint().unwrap();
    let view = store.shared.bench.take().unwrap();
    let grave = Grave::knowing(&view.homes);
    for file in store.sealer.due(&view) {
        let sealed = store.sealer.seal(&store.shared.state, file).unwrap();
        store.commit_sealed(sealed).unwrap();
    }
    let sealed = files_of(&fs, "data/sealed");
    assert!(!sealed.is_empty());
    let (sites, later) = (&store.sealer.sites, Timestamp(10 * ORPHAN_AGE_MS));
    grave.sweep(sites, &store.segments(), later);
    assert_eq!(files_of(&fs, "data/sealed"), sealed);
    grave.sweep(sites, &BTreeSet::new(), later);
    assert!(
        files_of(&fs, "data/sealed").is_empty(),
        "nothing names them"
    );
}

#[tokio::test]
async fn what_a_process_left_behind_goes_at_once_from_the_directory_and_later_from_the_object_store()
 {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    filled(&mut store);
    store.seal().unwrap();
    let (made, random) = (1_000, 7);
    let (id, parts) = (SegmentId { made, random }, [Bytes::from("left")]);
    let directory = Directory::new(Arc::new(fs.clone()), "data/sealed".into());
    let places: [Arc<dyn Segments>; 2] = [Arc::new(directory), objects(&fs)];
    for place in &places {
        place.create(LogId([0; 16]), id, &parts).unwrap();
    }
    let are_left = || {
        let listed = places.each_ref().map(|place| place.list(LogId([0; 16])));
        listed.map(|ids| ids.unwrap().contains(&id))
    };
    let named = store.segments();
    let grave = Grave::default();
    grave.sweep(&store.sealer.sites, &named, Timestamp(made - 1));
    assert_eq!(are_left(), [false, true]);
    grave.sweep(&store.sealer.sites, &named, Timestamp(made + ORPHAN_AGE_MS));
    assert_eq!(are_left(), [false, false]);
    store.close().unwrap();
    assert!(
        check(&fs).unwrap().damages.is_empty(),
        "what is named is there"
    );
}

#[tokio::test]
async fn the_records_of_an_entity_are_shown_in_order_from_segments_and_log() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    filled(&mut store);
    store.seal().unwrap();
    // In files that are used again.
    for _ in 0..30 {
        store.done(vec![append(B, message("y".repeat(3_000)))]);
    }
    store.done(vec![append(A, message("last"))]);
    let marks = store
        .shared
        .state
        .look(A, |content| Ok(content.marks()))
        .unwrap();
    drop(store);
    let inspection = Inspection::open(Path::new("data"), &fs).unwrap();
    let (mut offsets, mut sealed) = (Vec::new(), 0);
    let report = inspection.read_with(A, &mut |entry| {
        sealed += usize::from(matches!(entry.kept, Kept::Segment(_)));
        if let Said::Op(Op::Append { to, .. }) = entry.said {
            let ours = to.iter().filter(|target| target.entity == A);
            offsets.extend(ours.map(|target| target.place));
        }
    });
    assert!(report.unwrap().damages.is_empty());
    let all = (marks.start.0..marks.end.0).map(|n| Place::At(Offset(n)));
    assert_eq!(offsets, all.collect::<Vec<_>>());
    assert!(sealed > 0, "some are in segments");
}

#[tokio::test]
async fn a_flipped_bit_in_a_segment_is_found_by_file_when_nobody_reads_it() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    filled(&mut store);
    store.seal().unwrap();
    store.close().unwrap();
    let whole = check(&fs).unwrap();
    let names = files_of(&fs, "data/sealed");
    assert_eq!(whole.segments.count, names.len() as u64);
    assert!(whole.damages.is_empty(), "{:?}", whole.damages);
    let path = Path::new("data/sealed").join(&names[0]);
    let file = fs.open(&path).unwrap();
    let mut byte = [0];
    file.read_at(5_000, &mut byte).unwrap();
    file.write_at(5_000, &[&[byte[0] ^ 4]]).unwrap();
    let damages = check(&fs).unwrap().damages;
    assert_eq!(damages.len(), 1, "{damages:?}");
    assert_eq!(damages[0].file, path);
}

#[tokio::test]
async fn the_scrubber_reads_every_file_and_segment_and_names_what_is_damaged() {
    for damage in ["data/sealed", "data/wal", ""] {
        let fs = SimFs::default();
        let mut store = Inline::open(&fs).unwrap();
        filled(&mut store);
        store.seal().unwrap();
        store.checkpoint().unwrap();
        for n in 0..40 {
            let body = "y".repeat(3_000) + &n.to_string();
            store.done(vec![append(B, message(body))]);
        }
        store.checkpoint().unwrap();
        let view = store.shared.bench.take().unwrap();
        if !damage.is_empty() {
            let file = fs.open(&oldest_in(&fs, damage, &view)).unwrap();
            let mut byte = [0];
            file.read_at(9_000, &mut byte).unwrap();
            file.write_at(9_000, &[&[byte[0] ^ 4]]).unwrap();
        }
        let state = &store.shared.state;
        let mut scrub = Scrub::new(Instant::now());
        let (mut wrong, begin) = (0, scrub.next());
        let mut now = begin;
        while now < begin + Duration::from_secs(3_600) {
            wrong += usize::from(scrub.step(now, &store.sealer, state, &view).is_err());
            now = scrub.next();
        }
        assert_eq!(wrong, usize::from(!damage.is_empty()), "{damage}");
    }
}

/// A segment, or the oldest file of the log that something is needed of.
fn oldest_in(fs: &SimFs, dir: &str, view: &View) -> PathBuf {
    let is_needed = |name: &String| {
        let file = FileNo::of_name(name);
        file.is_none_or(|file| !view.uses.is_free(file) && view.homes.of(file).is_empty())
    };
    let name = files_of(fs, dir).into_iter().find(is_needed);
    Path::new(dir).join(name.unwrap())
}
