//! The index together with what follows in the log is what the records say, however they are divided.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use fairlead_canon::{EntityId, Kind, Offset, Outcome, Promise};
use fairlead_ports::{Op, Unit};
use fairlead_testkit::make::{append, create, message, put, settle};
use fairlead_testkit::trace::digest;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Inline, Script, open, settings, world};
use crate::checkpoint::Checkpointer;
use crate::error::OpenError;
use crate::ground::Uses;
use crate::index::{Batch, rows};
use crate::inspect::Inspection;
use crate::sequencer::Press;
use crate::vfs::Vfs;
use crate::vfs::sim::{Loss, SimFs};

/// A name, and what it does to a disk.
type Case<'a> = (&'static str, &'a dyn Fn(&SimFs));

fn commit(store: &mut Inline, op: Op) {
    let unit = Unit {
        ops: [op].into(),
        promise: Promise::Durable,
    };
    let outcomes = store.commit(unit).unwrap();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

fn checkpoint(store: &Inline) {
    store.write_checkpoint(store.begin_checkpoint()).unwrap();
}

/// What log files are needed for, counted from what entities keep.
pub(super) fn counted(store: &Inline) -> Uses {
    let state = &store.shared.state;
    let mut uses = Uses::default();
    for id in state.entities().unwrap() {
        let Some(entity) = state.entity(id) else {
            continue;
        };
        entity.content.lock().count_uses(&mut uses);
    }
    state
        .graves()
        .each(&mut |_, content| content.count_uses(&mut uses));
    uses
}

#[tokio::test]
async fn a_long_trace_with_checkpoints_and_restarts_ends_as_in_memory() {
    for seed in 0..12 {
        let script = Script::new(seed, 400).await;
        let mut random = StdRng::seed_from_u64(seed);
        let fs = SimFs::default();
        let (mut store, mut begun) = (Inline::open(&fs).unwrap(), None);
        for (unit, digests) in script.units.iter().zip(script.digests.iter().skip(1)) {
            store.commit(unit.clone()).unwrap();
            match random.random_range(0..40) {
                0..4 if begun.is_none() => begun = Some(store.begin_checkpoint()),
                4..12 => {
                    let write = |begun| store.write_checkpoint(begun).unwrap();
                    begun.take().into_iter().for_each(write);
                }
                12 => {
                    assert_eq!(*store.shared.state.ground.uses.lock(), counted(&store));
                    begun = None;
                    drop(store);
                    let subject = open(&fs).unwrap();
                    assert_eq!(&digest(&subject).await, digests, "seed {seed}");
                    drop(subject);
                    store = Inline::open(&fs).unwrap();
                }
                _ => {}
            }
        }
        assert_eq!(*store.shared.state.ground.uses.lock(), counted(&store));
        begun
            .into_iter()
            .for_each(|begun| store.write_checkpoint(begun).unwrap());
        checkpoint(&store);
        assert_eq!(orphans(&store), [] as [Vec<u8>; 0], "seed {seed}");
    }
}

/// Keys of rows that belong to an entity of which there is no row.
fn orphans(store: &Inline) -> Vec<Vec<u8>> {
    let index = &store.shared.state.ground.index;
    let mut owned = Vec::new();
    let visit = &mut |key: &[u8], _: &[u8]| {
        owned.extend(b"XSPOARKM".contains(&key[0]).then(|| key.to_vec()));
        ControlFlow::Continue(())
    };
    index.scan(&[], &[], visit).unwrap();
    owned.retain(|key| {
        let id = EntityId(rows::number_in(key, 0).unwrap());
        let has = |row: Vec<u8>| index.get(&row).unwrap().is_some();
        !has(rows::entity(id)) && !has(rows::grave(id))
    });
    owned
}

#[test]
pub(super) fn a_log_file_goes_once_nothing_in_the_index_refers_to_it() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    let (queue, log) = (EntityId(1), EntityId(2));
    commit(&mut store, create(queue, Kind::Queue));
    commit(&mut store, create(log, Kind::Log));
    commit(&mut store, append(log, message("stays")));
    for n in 0..60 {
        commit(&mut store, append(queue, message("goes")));
        commit(&mut store, settle(queue, n..n + 1, Outcome::Done));
    }
    let end = crate::lsn::FileNo(u64::MAX);
    let before = store.files.below(end);
    assert!(before.len() > 5, "{before:?}");
    checkpoint(&store);
    let after = store.files.below(end);
    assert_eq!(after[0], before[0], "the first one holds what stays");
    assert_eq!(
        after[1..],
        before[before.len() - 1..],
        "and the last is in use"
    );
    drop(store);
    let mut store = Inline::open(&fs).unwrap();
    let entity = store.shared.state.entity(log).unwrap();
    assert_eq!(entity.content.lock().count(), 1);
    drop(entity);
    commit(&mut store, append(queue, message("more")));
}

#[test]
fn entities_that_are_in_the_index_leave_memory_and_come_back() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    for n in 0..50 {
        commit(&mut store, create(EntityId(n), Kind::Queue));
        commit(&mut store, append(EntityId(n), message("one")));
    }
    assert!(store.shared.state.hot() >= 50);
    checkpoint(&store);
    assert!(store.shared.state.hot() <= 3);
    for n in 0..50 {
        commit(&mut store, append(EntityId(n), message("two")));
        let entity = store.shared.state.entity(EntityId(n)).unwrap();
        assert_eq!(entity.content.lock().count(), 2);
    }
}

#[test]
fn an_entity_that_keeps_nothing_leaves_memory_although_there_is_room() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    let (empty, kept) = (EntityId(1), EntityId(2));
    for id in [empty, kept] {
        commit(&mut store, create(id, Kind::Queue));
        commit(&mut store, append(id, message("one")));
    }
    commit(&mut store, settle(empty, 0..1, Outcome::Done));
    checkpoint(&store);
    let in_memory = |id| store.shared.state.glance(id, |_| Ok(())).is_some();
    assert!(!in_memory(empty) && in_memory(kept));
    let entity = store.shared.state.entity(empty).unwrap();
    assert_eq!(
        entity.content.lock().end,
        Offset(1),
        "it is known as it was"
    );
}

#[test]
fn a_deleted_entity_stays_deleted_and_may_be_made_anew_around_a_checkpoint() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    let id = EntityId(1);
    commit(&mut store, create(id, Kind::Log));
    (0..10).for_each(|_| commit(&mut store, append(id, message("old"))));
    checkpoint(&store);
    commit(&mut store, Op::Delete { entity: id });
    let begun = store.begin_checkpoint();
    assert!(store.shared.state.entity(id).is_none());
    commit(&mut store, create(id, Kind::Log));
    commit(&mut store, append(id, message("new")));
    store.write_checkpoint(begun).unwrap();
    let count = |store: &Inline| {
        let entity = store.shared.state.entity(id).expect("made anew");
        let content = entity.content.lock();
        (content.count(), content.places().count())
    };
    assert_eq!(count(&store), (1, 1));
    checkpoint(&store);
    drop(store);
    let mut store = Inline::open(&fs).unwrap();
    assert_eq!(count(&store), (1, 1));
    commit(&mut store, Op::Delete { entity: id });
    checkpoint(&store);
    drop(store);
    assert!(Inline::open(&fs).unwrap().shared.state.entity(id).is_none());
}

#[test]
fn an_index_that_is_missing_or_of_another_log_is_refused_and_named() {
    let index = Path::new("data/index.redb");
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    commit(&mut store, put(1, "key", "value"));
    checkpoint(&store);
    drop(store);
    let stranger = SimFs::default();
    drop(crate::store::Native::open(&settings(), &world(&stranger, 77)).unwrap());
    let mut foreign = Vec::new();
    stranger.damage(index, |bytes| foreign = bytes.clone());
    let cases: [Case<'_>; 2] = [
        ("missing", &|fs| fs.remove(index).unwrap()),
        ("foreign", &|fs| {
            fs.damage(index, |bytes| *bytes = foreign.clone())
        }),
    ];
    for (case, damage) in cases {
        let copy = fs.copy();
        damage(&copy);
        let file = match Inline::open(&copy).map(drop) {
            Err(OpenError::Missing { file } | OpenError::Damaged { file, .. }) => file,
            other => panic!("{case}: {other:?}"),
        };
        assert_eq!(file, index, "{case}");
    }
}

#[test]
fn an_index_of_an_earlier_version_becomes_one_of_this_and_a_later_one_is_refused() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    commit(&mut store, put(1, "key", "value"));
    checkpoint(&store);
    let ours = version(&store);
    set_version(&store, ours - 1);
    drop(store);
    let store = Inline::open(&fs).unwrap();
    assert_eq!(version(&store), ours);
    for unknown in [0, ours + 1] {
        set_version(&store, unknown);
        let refused = Inline::open(&fs.copy()).map(drop);
        let Err(OpenError::Damaged { file, .. }) = refused else {
            panic!("version {unknown}: {refused:?}");
        };
        assert_eq!(file, Path::new("data/index.redb"));
    }
}

/// The version that the index says it has.
fn version(store: &Inline) -> u8 {
    let row = store.shared.state.ground.index.get(rows::LOG);
    row.unwrap().unwrap()[0]
}

fn set_version(store: &Inline, version: u8) {
    let index = &store.shared.state.ground.index;
    let mut row = index.get(rows::LOG).unwrap().unwrap().to_vec();
    row[0] = version;
    let mut batch = Batch::default();
    batch.put(rows::LOG.to_vec(), row);
    index.checkpoint(batch).unwrap();
}

#[tokio::test]
async fn a_store_that_is_closed_leaves_nothing_to_apply() {
    let fs = SimFs::default();
    let subject = open(&fs).unwrap();
    subject
        .done(vec![create(EntityId(1), Kind::Log), put(1, "key", "value")])
        .await;
    drop(subject);
    let store = Inline::open(&fs).unwrap();
    assert_eq!(store.shared.state.changes(), 0);
    assert!(store.shared.state.entity(EntityId(1)).is_some());
}

#[test]
fn an_inspection_names_the_entity_whose_rows_are_missing_or_do_not_add_up() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    let (a, b) = (EntityId(1), EntityId(2));
    for id in [a, b] {
        commit(&mut store, create(id, Kind::Log));
        (0..10).for_each(|_| commit(&mut store, append(id, message("one"))));
    }
    checkpoint(&store);
    let mut batch = Batch::default();
    batch.delete(rows::chunk(b, 3));
    store.shared.state.ground.index.checkpoint(batch).unwrap();
    store.close().unwrap();
    let inspection = Inspection::open(Path::new("data"), &fs).unwrap();
    let report = inspection.check(&mut |_| {}).unwrap();
    let named: Vec<_> = report
        .damages
        .iter()
        .flat_map(|it| it.entities.keys())
        .collect();
    assert_eq!(named, [&b], "{report:?}");
    assert!(
        report
            .damages
            .iter()
            .all(|it| it.file == Path::new("data/index.redb"))
    );
}

/// A queue in more files than are kept to be used again. The index has its messages, although all
/// of them are settled.
fn drained(fs: &SimFs) -> Inline {
    let mut store = Inline::open(fs).unwrap();
    let queue = EntityId(1);
    commit(&mut store, create(queue, Kind::Queue));
    for _ in 0..14 {
        commit(&mut store, append(queue, message(vec![1; 25_000])));
    }
    checkpoint(&store);
    commit(&mut store, settle(queue, 0..14, Outcome::Done));
    store
}

#[tokio::test]
pub(super) async fn a_crash_while_a_checkpoint_is_written_finds_every_file_that_the_last_one_needs()
{
    let whole = SimFs::default();
    let store = drained(&whole);
    let before = whole.operations();
    checkpoint(&store);
    for crash_at in before + 1..=whole.operations() {
        let fs = SimFs::default();
        let store = drained(&fs);
        fs.fail_at(crash_at);
        assert!(store.write_checkpoint(store.begin_checkpoint()).is_err());
        for loss in [
            Loss::All,
            Loss::Nothing,
            Loss::Some(crash_at),
            Loss::Torn(crash_at),
        ] {
            let context = format!("crash at {crash_at}, {loss:?}");
            let subject =
                open(&fs.after_crash(loss)).unwrap_or_else(|error| panic!("{context}: {error}"));
            let marks = subject.marks(EntityId(1)).await;
            assert_eq!((marks.end.0, marks.count), (14, 0), "{context}");
        }
    }
}

#[tokio::test]
async fn a_trace_beside_a_thread_that_writes_checkpoints_ends_as_in_memory() {
    for seed in 100..104 {
        let script = Script::new(seed, 1_000).await;
        let fs = SimFs::default();
        let mut store = Inline::open(&fs).unwrap();
        let shared = Arc::clone(&store.shared);
        let (files, pool) = (Arc::clone(&store.files), Arc::clone(&store.pool));
        let checkpointer = Checkpointer::new(Arc::clone(&shared), files, pool);
        std::thread::scope(|scope| {
            scope.spawn(move || checkpointer.run());
            for units in script.units.chunks(100) {
                let before = shared.state.ground.durable();
                for unit in units {
                    store.commit(unit.clone()).unwrap();
                }
                // However slow the thread is, one checkpoint is written in the middle of it all.
                while shared.state.ground.durable() == before {
                    store.work(Press::All).unwrap();
                    std::thread::yield_now();
                }
            }
            shared.desk.close();
        });
        assert_eq!(*shared.state.ground.uses.lock(), counted(&store));
        drop((store, shared));
        let seen = digest(&open(&fs).unwrap()).await;
        assert_eq!(Some(&seen), script.digests.last(), "seed {seed}");
    }
}
