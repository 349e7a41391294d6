//! Looking at a directory: the damage that a start refuses is named, and no more than that.

use std::path::Path;

use fairlead_canon::{EntityId, Kind, Offset, Promise};
use fairlead_ports::{Lsn, Op, Place, Space, Unit};
use fairlead_testkit::make;
use fairlead_testkit::trace::digest;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Inline, Script, open};
use crate::error::OpenError;
use crate::inspect::{Inspection, Kept, Report, Said};
use crate::lsn::position_of;
use crate::vfs::sim::{Loss, SimFs};

const FIRST: &str = "data/wal/0000000000000001.wal";
const ENTITY: EntityId = EntityId(7);

fn report(fs: &SimFs) -> Report {
    let inspection = Inspection::open(Path::new("data"), fs).expect("a directory");
    inspection.check(&mut |_| {}).expect("readable")
}

/// Ten messages to one entity, a frame each, and a close in order. Behind the frame of the start
/// and that of the creation, message n lies on page n + 3.
fn ten_messages() -> SimFs {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    commit(&mut store, [make::create(ENTITY, Kind::Log)]);
    commit(&mut store, (0..10).map(append));
    store.close().unwrap();
    fs
}

fn append(n: u8) -> Op {
    make::append(ENTITY, make::message(vec![n; 100]))
}

fn commit(store: &mut Inline, ops: impl IntoIterator<Item = Op>) {
    for op in ops {
        let unit = Unit {
            ops: [op].into(),
            promise: Promise::Durable,
        };
        store.commit(unit).unwrap();
    }
}

fn page(n: usize) -> usize {
    (n + 3) * 4096
}

#[test]
fn a_directory_that_is_whole_has_no_damage_and_every_record() {
    let fs = ten_messages();
    let before = fs.operations();
    let inspection = Inspection::open(Path::new("data"), &fs).unwrap();
    let mut seen = Vec::new();
    let report = inspection
        .read(&mut |entry| {
            if let (Said::Op(Op::Append { to, batch }), Kept::Log { byte, .. }) =
                (entry.said, entry.kept)
            {
                assert_eq!(byte % 4096, 64);
                seen.push((to[0].entity, to[0].place, batch.bytes));
            }
        })
        .unwrap();
    let bodies = (0..10_u8).map(|n| (ENTITY, Place::At(Offset(n.into())), vec![n; 100].into()));
    assert_eq!(seen, bodies.collect::<Vec<_>>());
    assert!(report.damages.is_empty() && !report.is_torn, "{report:?}");
    assert_eq!((report.records, report.frames), (11, 12));
    let end = Some((FIRST.into(), page(10) as u64));
    assert_eq!((&report.end, &report.proven), (&end, &end));
    assert_eq!(fs.operations(), before, "an inspection changes nothing");
}

#[test]
fn a_flipped_byte_is_named_by_file_and_byte_with_who_lost_what() {
    let fs = ten_messages();
    // In the body of the fourth message.
    fs.damage(Path::new(FIRST), |bytes| bytes[page(3) + 64 + 80] ^= 1);
    let report = report(&fs);
    let [damage] = report.damages.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!(damage.file, Path::new(FIRST));
    assert_eq!(damage.at, page(3) as u64);
    assert_eq!(damage.record, Some(page(3) as u64 + 64));
    assert_eq!(damage.entities.get(&ENTITY), Some(&Some(3..4)));
    // What lies behind it is read all the same.
    assert_eq!((report.records, report.is_torn), (10, false));
}

#[test]
fn what_an_illegible_frame_held_shows_in_what_is_missing_behind_it() {
    let fs = ten_messages();
    fs.damage(Path::new(FIRST), |bytes| {
        bytes[page(2)..page(4)].fill(0xEE);
    });
    let report = report(&fs);
    let [damage] = report.damages.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!((damage.at, damage.record), (page(2) as u64, None));
    assert_eq!(damage.entities.get(&ENTITY), Some(&Some(2..4)));
}

#[test]
fn a_cut_file_is_named_where_the_first_frame_is_missing() {
    for cut in [page(6), page(6) + 10, page(6) + 100] {
        let fs = ten_messages();
        fs.damage(Path::new(FIRST), |bytes| bytes.truncate(cut));
        let report = report(&fs);
        let [damage] = report.damages.as_slice() else {
            panic!("{report:?}")
        };
        assert_eq!(damage.file, Path::new(FIRST));
        assert_eq!(damage.at, page(6) as u64);
        assert!(damage.what.contains("the file ends"), "{}", damage.what);
    }
}

#[tokio::test]
async fn a_missing_file_and_a_foreign_header_are_named_once() {
    let script = Script::new(21, 60).await;
    let fs = SimFs::default();
    assert_eq!(script.play(&fs), 60);
    let second = Path::new("data/wal/0000000000000002.wal");
    for header_only in [true, false] {
        let copy = fs.copy();
        if header_only {
            copy.damage(second, |bytes| bytes[40] ^= 1);
        } else {
            crate::vfs::Vfs::remove(&copy, second).unwrap();
        }
        let report = report(&copy);
        let [damage] = report.damages.as_slice() else {
            panic!("{report:?}")
        };
        assert_eq!((damage.file.as_path(), damage.at), (second, 0));
    }
}

#[test]
fn a_tear_that_nothing_proves_durable_is_no_damage() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    commit(&mut store, [make::create(ENTITY, Kind::Log), append(0)]);
    drop(store);
    fs.damage(Path::new(FIRST), |bytes| bytes[page(0) + 70] ^= 1);
    let report = report(&fs);
    assert!(report.damages.is_empty() && report.is_torn, "{report:?}");
    assert_eq!(report.end, Some((FIRST.into(), page(0) as u64)));
}

#[test]
fn a_superblock_needs_one_whole_slot() {
    let superblock = Path::new("data/superblock");
    let fs = ten_messages();
    fs.damage(superblock, |bytes| bytes[30] ^= 1);
    let one = report(&fs);
    assert_eq!((one.unreadable_slots, one.damages.len()), (1, 0));
    fs.damage(superblock, |bytes| bytes[4096 + 30] ^= 1);
    let both = report(&fs);
    assert_eq!((both.unreadable_slots, both.damages.len()), (2, 1));
    assert_eq!(both.damages[0].file, superblock);
}

/// The law between the two: what a start refuses, an inspection names; and where it names nothing,
/// nothing is lost. It also names what a start has no need to read.
#[tokio::test]
async fn an_inspection_and_a_start_agree_on_any_flipped_bit_and_any_cut() {
    let script = Script::new(22, 60).await;
    let fs = SimFs::default();
    assert_eq!(script.play(&fs), 60);
    let all = script.digests.last().unwrap();
    let mut random = StdRng::seed_from_u64(22);
    let mut refused = 0;
    for path in fs.paths() {
        for round in 0..120 {
            let copy = fs.copy();
            let mut place = 0;
            copy.damage(&path, |bytes| {
                let pages = bytes.len() / 4096;
                place = random.random_range(0..pages) * 4096 + random.random_range(0..400);
                if round % 4 == 0 {
                    bytes.truncate(place);
                } else {
                    bytes[place] ^= 1 << random.random_range(0..8);
                }
            });
            let report = report(&copy);
            let is_damaged = !report.damages.is_empty();
            match open(&copy) {
                Ok(subject) if is_damaged => drop(subject),
                Ok(subject) => assert_eq!(&digest(&subject).await, all, "{path:?} {place}"),
                Err(error) => assert!(is_damaged, "{path:?} {place}: {error}"),
            }
            refused += usize::from(is_damaged);
        }
    }
    assert!(refused > 80, "only {refused} were refused");
}

/// What an operator does: damage, a refusal, the price, and a start on the rest.
#[tokio::test]
async fn a_damaged_end_is_given_up_at_its_exact_price_and_the_rest_starts() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    commit(&mut store, [make::create(ENTITY, Kind::Log)]);
    commit(&mut store, (0..10).map(append));
    drop(store);
    fs.damage(Path::new(FIRST), |bytes| bytes[page(6) + 64 + 80] ^= 1);
    let Err(refused) = open(&fs) else {
        panic!("it starts on a damaged log")
    };
    assert!(matches!(refused, OpenError::Damaged { at, .. } if at == page(6) as u64));

    let inspection = Inspection::open(Path::new("data"), &fs).unwrap();
    let cut = inspection.read(&mut |_| {}).unwrap().cut.unwrap();
    assert_eq!((position_of(cut.lsn), cut.records), (page(6) as u64, 4));
    assert_eq!(cut.lost.entities.get(&ENTITY), Some(&Some(6..10)));
    for (lsn, records) in [(cut.lsn, 3), (cut.lsn, 5), (Lsn(cut.lsn.0 - 4096), 4)] {
        let before = fs.operations();
        let refused = inspection.truncate(lsn, records).unwrap_err();
        assert!(
            matches!(refused, OpenError::Price { records: 4, .. }),
            "{refused}"
        );
        assert_eq!(fs.operations(), before, "nothing is changed");
    }
    inspection.truncate(cut.lsn, cut.records).unwrap();
    drop(inspection);

    // Durable at once, whatever happens next.
    let subject = open(&fs.after_crash(Loss::All)).unwrap();
    let bodies = subject.bodies(ENTITY).await;
    let kept = (0..6_u8).map(|n| (n.into(), vec![n; 100].into()));
    assert_eq!(bodies, kept.collect::<Vec<_>>());
    let done = subject.done(vec![append(6)]).await;
    assert_eq!(done.placed[0].base, Offset(6));
}

#[test]
fn what_lies_below_the_checkpoint_or_is_whole_cannot_be_cut_off() {
    let fs = ten_messages();
    // Its end brings a checkpoint of everything.
    drop(open(&fs).unwrap());
    for damage in [false, true] {
        if damage {
            fs.damage(Path::new(FIRST), |bytes| bytes[page(3) + 64 + 80] ^= 1);
        }
        let inspection = Inspection::open(Path::new("data"), &fs).unwrap();
        assert!(inspection.read(&mut |_| {}).unwrap().cut.is_none());
        let refused = inspection.truncate(Lsn(1 << 26 | page(3) as u64), 1);
        assert!(matches!(refused, Err(OpenError::Setting { .. })));
    }
}

/// A crash at any step leaves a log that is refused, or the one that was asked for.
#[tokio::test]
async fn a_crash_while_the_end_is_given_up_is_refused_or_done() {
    let damaged = SimFs::default();
    let mut store = Inline::open(&damaged).unwrap();
    commit(&mut store, [make::create(ENTITY, Kind::Log)]);
    commit(&mut store, (0..40).map(append));
    drop(store);
    damaged.damage(Path::new(FIRST), |bytes| bytes[page(6) + 64 + 80] ^= 1);
    let mut is_done = false;
    for step in 1.. {
        let fs = damaged.copy();
        fs.fail_at(fs.operations() + step);
        let inspection = Inspection::open(Path::new("data"), &fs).unwrap();
        let cut = inspection.read(&mut |_| {}).unwrap().cut.unwrap();
        let truncated = inspection.truncate(cut.lsn, cut.records);
        drop(inspection);
        for loss in [Loss::All, Loss::Nothing, Loss::Torn(step)] {
            let survivor = fs.after_crash(loss);
            match open(&survivor) {
                Ok(subject) => assert_eq!(subject.marks(ENTITY).await.end, Offset(6)),
                Err(error) => assert!(matches!(error, OpenError::Damaged { .. }), "{error}"),
            }
        }
        is_done = truncated.is_ok();
        if is_done {
            break;
        }
    }
    assert!(is_done);
}

/// A byte or the end of an index: refused by name; and made anew, the same, from a log that is all there.
#[tokio::test]
async fn a_damaged_index_is_made_anew_from_a_log_that_goes_back_to_its_beginning() {
    let script = Script::new(23, 60).await;
    let fs = SimFs::default();
    assert_eq!(script.play(&fs), 60);
    drop(open(&fs).unwrap());
    let all = script.digests.last().unwrap();
    let index = Path::new("data/index.redb");
    let rebuild = |fs: &SimFs| {
        let inspection = Inspection::open(Path::new("data"), fs).unwrap();
        inspection.rebuild_index()
    };
    assert!(rebuild(&fs).is_err(), "it is whole");
    for cut in [true, false] {
        let copy = fs.copy();
        copy.damage(index, |bytes| {
            if cut {
                bytes.truncate(bytes.len() / 2);
            } else {
                bytes.iter_mut().step_by(512).for_each(|byte| *byte ^= 1);
            }
        });
        let Err(error) = open(&copy) else {
            panic!("it starts on a damaged index")
        };
        assert!(error.to_string().contains("index.redb"), "{error}");
        assert!(error.to_string().contains("--rebuild-index"), "{error}");
        rebuild(&copy).unwrap();
        assert_eq!(&digest(&open(&copy).unwrap()).await, all);

        let copy = fs.copy();
        copy.damage(index, |bytes| bytes.truncate(1_000));
        crate::vfs::Vfs::remove(&copy, Path::new(FIRST)).unwrap();
        assert!(rebuild(&copy).is_err(), "the beginning is gone");
    }
}

#[test]
fn a_directory_that_is_open_is_refused_and_one_that_is_not_there_is_missing() {
    let fs = SimFs::default();
    let store = Inline::open(&fs).unwrap();
    let locked = Inspection::open(Path::new("data"), &fs);
    assert!(matches!(locked, Err(OpenError::Locked { .. })));
    drop(store);
    let missing = Inspection::open(Path::new("nowhere"), &fs);
    assert!(matches!(missing, Err(OpenError::Missing { .. })));
}

#[test]
fn measures_count_what_is_kept_and_what_is_not() {
    let fs = ten_messages();
    let mut store = Inline::open(&fs).unwrap();
    commit(
        &mut store,
        [make::trim(ENTITY, 4), make::put(9, "key", "value")],
    );
    store.close().unwrap();
    let inspection = Inspection::open(Path::new("data"), &fs).unwrap();
    let (_, measures) = inspection.measure().unwrap();
    assert_eq!(measures.records["append"].count, 10);
    let (spec, marks) = &measures.entities[&ENTITY];
    assert_eq!(
        (spec.kind, marks.count, marks.start),
        (Kind::Log, 6, Offset(4))
    );
    assert_eq!(measures.kept.count, 6);
    let documents = measures.documents[&Space(9)];
    assert_eq!((documents.count, documents.bytes), (1, 8));
    assert!(measures.live_bytes() < measures.record_bytes());
}
