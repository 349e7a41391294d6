//! A large entity is deleted: nobody waits for that, and no power cut loses count of it.

use fairlead_canon::{Kind, Promise};
use fairlead_ports::{Op, Unit};
use fairlead_testkit::make::{A, B, append, create, message};

use super::checkpoint::counted;
use super::{Inline, open};
use crate::limits::REAPED_CHUNKS;
use crate::seal::SealError;
use crate::vfs::sim::{Loss, SimFs};

/// Batches in the large one: in tests a chunk has three.
const BATCHES: usize = 60;
const TURNS: usize = BATCHES / (3 * REAPED_CHUNKS);

fn unit(op: Op) -> Unit {
    Unit {
        ops: [op].into(),
        promise: Promise::Durable,
    }
}

/// A store with a large queue that was deleted, some of it only in the index.
fn begin(fs: &SimFs) -> std::io::Result<Inline> {
    let mut store = Inline::open(fs).map_err(std::io::Error::other)?;
    store.commit(unit(create(A, Kind::Queue)))?;
    store.commit(unit(create(B, Kind::Log)))?;
    for n in 0..BATCHES {
        store.commit(unit(append(A, message("m"))))?;
        if n == BATCHES / 2 {
            store.write_checkpoint(store.begin_checkpoint())?;
        }
    }
    store.commit(unit(Op::Delete { entity: A }))?;
    Ok(store)
}

fn graves(store: &Inline) -> usize {
    store.shared.state.graves().len()
}

#[test]
fn others_are_served_between_the_parts_of_a_large_one() {
    let mut store = begin(&SimFs::default()).unwrap();
    assert!(
        store.shared.state.entity(A).is_none(),
        "to everybody it is gone"
    );
    let mut served = 0;
    while graves(&store) > 0 {
        let answers = store.commit(unit(append(B, message("m")))).unwrap();
        assert!(answers[0].is_ok());
        served += 1;
    }
    // The deletion gave up a part, and so did the turn that it came in.
    assert_eq!(served, TURNS - 2);
    assert_eq!(*store.shared.state.ground.uses.lock(), counted(&store));
}

#[test]
fn a_file_of_what_is_being_given_up_is_not_taken_for_damaged() {
    let mut store = begin(&SimFs::default()).unwrap();
    let file = *store
        .shared
        .state
        .ground
        .uses
        .lock()
        .0
        .keys()
        .next()
        .unwrap();
    let seal = |store: &Inline| store.sealer.seal(&store.shared.state, file);
    assert!(matches!(seal(&store), Err(SealError::Unsettled)));
    while graves(&store) > 0 {
        store.commit(unit(append(B, message("m")))).unwrap();
    }
    assert!(seal(&store).is_ok());
}

#[test]
fn one_that_is_made_anew_has_nothing_of_the_one_before() {
    let fs = SimFs::default();
    let mut store = begin(&fs).unwrap();
    store.write_checkpoint(store.begin_checkpoint()).unwrap();
    store.commit(unit(create(A, Kind::Log))).unwrap();
    store.commit(unit(append(A, message("new")))).unwrap();
    assert_eq!(graves(&store), 0);
    store.write_checkpoint(store.begin_checkpoint()).unwrap();
    drop(store);
    let store = Inline::open(&fs).unwrap();
    let entity = store.shared.state.entity(A).unwrap();
    assert_eq!(entity.content.lock().marks().end.0, 1);
    assert_eq!(*store.shared.state.ground.uses.lock(), counted(&store));
}

#[tokio::test]
async fn a_crash_at_any_operation_loses_no_count_of_what_was_given_up() {
    let play = |fs: &SimFs| -> std::io::Result<()> {
        let mut store = begin(fs)?;
        while graves(&store) > 0 {
            store.commit(unit(append(B, message("m"))))?;
            store.write_checkpoint(store.begin_checkpoint())?;
        }
        Ok(())
    };
    let whole = SimFs::default();
    drop(begin(&whole).unwrap());
    let first = whole.operations();
    let whole = SimFs::default();
    play(&whole).unwrap();
    assert!(first + 20 < whole.operations());
    for fails_at in first..=whole.operations() {
        let fs = SimFs::default();
        fs.fail_at(fails_at);
        drop(play(&fs));
        let survivor = fs.after_crash(Loss::Torn(fails_at));
        let mut store = Inline::open(&survivor).unwrap();
        let state = &store.shared.state;
        assert_eq!(*state.ground.uses.lock(), counted(&store), "{fails_at}");
        assert!(
            state.entity(A).is_none(),
            "{fails_at}: its end was answered"
        );
        while graves(&store) > 0 {
            store.commit(unit(append(B, message("m")))).unwrap();
        }
        let state = &store.shared.state;
        assert_eq!(*state.ground.uses.lock(), counted(&store), "{fails_at}");
        drop(store);
        let subject = open(&survivor).unwrap();
        assert!(subject.log(A).marks().await.is_err(), "{fails_at}");
    }
}
