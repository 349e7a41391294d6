//! Who waits for a sync, and who does not.

use fairlead_canon::{Class, EntityId, Kind, Outcome, Promise, Spec, SyncMode};
use fairlead_ports::{Op, Outcomes, StoreError, Unit, Version};
use fairlead_testkit::make::{A, B, append, create, expect, message, put, settle};

use super::{Inline, open};
use crate::call::Job;
use crate::file_wal::Flush;
use crate::limits::SYNC_WITHIN;
use crate::lsn::file_of;
use crate::pool::Filled;
use crate::sequencer::{Press, Taken};
use crate::vfs::sim::{Loss, SimFs};

fn durable(ops: Vec<Op>) -> Unit {
    Unit {
        ops: ops.into(),
        promise: Promise::Durable,
    }
}

fn accepted(ops: Vec<Op>) -> Unit {
    Unit {
        ops: ops.into(),
        promise: Promise::Accepted,
    }
}

/// How one unit is written that is given no time to wait for others, and what is answered then.
fn ordered(store: &mut Inline, unit: Unit) -> (Flush, Outcomes) {
    let (mut job, replied) = Job::new([unit].into());
    assert_eq!(store.sequencer.take(&mut job), Taken::All);
    store.sequencer.answer(job);
    let order = store.sequencer.order(Press::Frame).unwrap();
    store.carry_out(&order).unwrap();
    store.sequencer.landed(0);
    store.sequencer.settle();
    let outcomes = replied.ended().unwrap();
    (order.flush, outcomes)
}

fn end(store: &Inline, entity: EntityId) -> u64 {
    let entity = store.shared.state.entity(entity).unwrap();
    let content = entity.content.lock();
    content.visible.0
}

#[test]
fn only_a_frame_that_somebody_waits_for_is_synced() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    let log = create(A, Kind::Log);
    store
        .commit(durable(vec![log, create(B, Kind::Queue)]))
        .unwrap();
    while store.pool.fill().unwrap() == Filled::More {}
    let early = ordered(
        &mut store,
        accepted(vec![append(B, message("seen at once"))]),
    );
    assert_eq!(early.0, Flush::Later);
    let settled = ordered(&mut store, accepted(vec![settle(B, 0..1, Outcome::Done)]));
    assert_eq!(settled.0, Flush::Later);
    let hidden = ordered(
        &mut store,
        accepted(vec![append(A, message("seen when durable"))]),
    );
    assert_eq!(hidden.0, Flush::Now);
    let promised = ordered(&mut store, durable(vec![append(B, message("promised"))]));
    assert_eq!(promised.0, Flush::Now);
}

#[test]
fn what_nobody_waits_for_is_synced_later_and_a_reader_of_it_makes_that_sooner() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    let written = ordered(&mut store, accepted(vec![put(7, "a", "lazy")]));
    assert_eq!(written.0, Flush::Later);
    assert!(
        store.sequencer.order(Press::Nothing).is_none(),
        "it may wait"
    );
    let patience = store.sequencer.patience().unwrap();
    assert!(!patience.is_zero() && patience <= SYNC_WITHIN);
    store.sequencer.hurry();
    let order = store.sequencer.order(Press::Nothing).unwrap();
    assert!(order.frame.is_none() && order.flush == Flush::Now);
    store.carry_out(&order).unwrap();
    store.sequencer.landed(0);
    store.sequencer.settle();
    assert_eq!(
        store.sequencer.patience(),
        None,
        "an idle store does nothing"
    );
}

#[test]
fn an_entity_that_says_interval_is_answered_and_shown_once_it_is_written() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    let spec = Spec {
        sync: SyncMode::Interval,
        ..Spec::new(Kind::Log, Class::Local)
    };
    let weak = Op::Create { entity: A, spec };
    store
        .commit(durable(vec![weak, create(B, Kind::Log)]))
        .unwrap();
    while store.pool.fill().unwrap() == Filled::More {}
    let one = ordered(&mut store, durable(vec![append(A, message("weak"))]));
    assert_eq!(one.0, Flush::Later);
    assert!(one.1[0].is_ok());
    assert_eq!(end(&store, A), 1, "shown as well");
    let both = vec![
        append(A, message("with")),
        append(B, message("a strong one")),
    ];
    assert_eq!(ordered(&mut store, durable(both)).0, Flush::Now);
    assert_eq!((end(&store, A), end(&store, B)), (2, 1));
}

#[test]
fn a_receipt_waits_for_the_sync_of_what_was_written_before() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    ordered(&mut store, accepted(vec![put(7, "id", "there")]));
    let absent = expect(7, "id", Version(0));
    let (mut job, replied) = Job::new([durable(vec![absent])].into());
    assert_eq!(store.sequencer.take(&mut job), Taken::All);
    store.sequencer.answer(job);
    assert!(replied.ended().is_none(), "the document is not durable yet");
    store.work(Press::Nothing).unwrap();
    assert_eq!(&replied.ended().unwrap()[..], [Err(StoreError::Conflict)]);
}

#[tokio::test]
async fn a_frame_that_is_durable_makes_durable_what_was_written_before_it() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    store.commit(durable(vec![create(A, Kind::Queue)])).unwrap();
    let early = ordered(
        &mut store,
        accepted(vec![append(A, message("nobody waits"))]),
    );
    assert_eq!(early.0, Flush::Later);
    let promised = ordered(&mut store, durable(vec![append(A, message("promised"))]));
    assert_eq!(promised.0, Flush::Now);
    let survivor = open(&fs.after_crash(Loss::All)).unwrap();
    assert_eq!(
        survivor.bodies(A).await,
        [(0, "nobody waits".into()), (1, "promised".into())]
    );
}

#[tokio::test]
async fn a_file_that_is_left_with_something_unsynced_is_synced() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    store.commit(durable(vec![create(A, Kind::Queue)])).unwrap();
    // Two of these fill a file; the first one also holds what came before them.
    for frame in 0..5 {
        while store.pool.fill().unwrap() == Filled::More {}
        let unit = accepted(vec![append(A, message(vec![1; 25_000]))]);
        let (mut job, _) = Job::new([unit].into());
        assert_eq!(store.sequencer.take(&mut job), Taken::All);
        store.sequencer.answer(job);
        let order = store.sequencer.order(Press::Frame).unwrap();
        assert_eq!(order.flush, Flush::Later, "frame {frame}");
        store.carry_out(&order).unwrap();
        store.sequencer.landed(0);
        store.sequencer.settle();
    }
    assert_eq!(file_of(store.wal.synced()).0, 2);
    let survivor = open(&fs.after_crash(Loss::All)).unwrap();
    assert_eq!(
        survivor.marks(A).await.end.0,
        3,
        "one in the first file, two in the second"
    );
}

#[test]
pub(super) fn what_is_not_durable_is_not_shown() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    let kinds = vec![create(A, Kind::Log), create(B, Kind::Queue)];
    store.commit(durable(kinds)).unwrap();
    while store.pool.fill().unwrap() == Filled::More {}
    let both = vec![append(A, message("x")), append(B, message("x"))];
    let (mut job, _replied) = Job::new([durable(both)].into());
    assert_eq!(store.sequencer.take(&mut job), Taken::All);
    store.sequencer.answer(job);
    assert_eq!((end(&store, A), end(&store, B)), (0, 0));
    store.work(Press::Nothing).unwrap();
    assert_eq!((end(&store, A), end(&store, B)), (1, 1));
}
