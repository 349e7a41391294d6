//! Both kinds of index keep the same rows, and neither shows a damaged one.

use std::sync::Arc;

use fairlead_canon::EntityId;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::pack::{Pack, Unpack};
use super::*;
use crate::limits::INDEX_LARGE;
use crate::vfs::Vfs;
use crate::vfs::sim::{Loss, SimFs};

fn redb(fs: &SimFs) -> RedbKv {
    let path = std::path::Path::new("index");
    let file = fs.open(path).or_else(|_| fs.create(path)).unwrap();
    RedbKv::open(Backend::write(file, &Arc::default())).unwrap()
}

fn rows(index: &Index, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    let visit = &mut |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    index.scan(prefix, &[], visit).unwrap();
    rows
}

fn random_batch(random: &mut StdRng) -> Batch {
    let mut batch = Batch::default();
    for _ in 0..random.random_range(1..20) {
        let key = rows::chunk(
            EntityId(random.random_range(0..4)),
            random.random_range(0..60),
        );
        match random.random_range(0..11) {
            10 => {
                // Rows that are mostly new, around those that are there.
                let entity = EntityId(random.random_range(0..4));
                let from = random.random_range(0..30);
                let rows = from..from + random.random_range(1..80);
                let step = random.random_range(1..4);
                for row in rows.step_by(step) {
                    batch.put(rows::chunk(entity, row), vec![8; 50]);
                }
            }
            0 => batch.delete_all(rows::chunks(EntityId(random.random_range(0..4)))),
            1..4 => batch.delete(key),
            _ => batch.put(key, vec![7; random.random_range(0..300)]),
        }
    }
    batch
}

#[test]
fn both_kinds_answer_alike_also_after_they_are_opened_again() {
    let fs = SimFs::default();
    let (map, mut file) = (Index::new(Map::default()), Index::new(redb(&fs)));
    let mut random = StdRng::seed_from_u64(3);
    for round in 0..200 {
        let batch = random_batch(&mut random);
        map.checkpoint(Batch(batch.0.clone())).unwrap();
        file.checkpoint(batch).unwrap();
        if round % 20 == 0 {
            drop(file);
            file = Index::new(redb(&fs));
        }
        let entity = EntityId(random.random_range(0..4));
        assert_eq!(rows(&map, b"X"), rows(&file, b"X"), "round {round}");
        let prefix = rows::chunks(entity);
        assert_eq!(rows(&map, &prefix), rows(&file, &prefix), "round {round}");
        let key = rows::chunk(entity, random.random_range(0..30));
        assert_eq!(map.get(&key).unwrap(), file.get(&key).unwrap());
    }
}

#[test]
fn a_checkpoint_is_whole_or_absent_after_a_crash_at_any_operation() {
    let play = |fs: &SimFs| {
        let file = fs.create("index".as_ref()).ok()?;
        let index = Index::new(RedbKv::open(Backend::write(file, &Arc::default())).ok()?);
        fs.sync_dir("".as_ref()).ok()?;
        let mut done = 0;
        for round in 0..6_u8 {
            let mut batch = Batch::default();
            batch.delete_all(vec![b'X']);
            for row in 0..60_u64 {
                batch.put(rows::chunk(EntityId(1), row), vec![round; 100]);
            }
            if index.checkpoint(batch).is_err() {
                break;
            }
            done = round + 1;
        }
        Some(done)
    };
    let whole = SimFs::default();
    assert_eq!(play(&whole), Some(6));
    let mut seen = 0;
    for crash_at in 1..=whole.operations() {
        let fs = SimFs::default();
        fs.fail_at(crash_at);
        let Some(done @ 1..) = play(&fs) else {
            continue;
        };
        for loss in [
            Loss::All,
            Loss::Nothing,
            Loss::Some(crash_at),
            Loss::Torn(crash_at),
        ] {
            let rows = rows(&Index::new(redb(&fs.after_crash(loss))), b"X");
            let round = rows.first().expect("rows").1[0];
            assert!(rows.len() == 60 && rows.iter().all(|(_, value)| value[0] == round));
            assert!(round + 1 == done || round == done, "{crash_at} {loss:?}");
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
}

#[test]
pub(crate) fn a_flipped_bit_in_a_value_is_damage_and_not_an_answer() {
    let map = Map::default();
    let mut batch = Batch::default();
    batch.put(b"Zkey".to_vec(), b"value".to_vec());
    let Change::Put(key, mut value) = batch.in_order().remove(0) else {
        panic!("not a row")
    };
    value[2] ^= 4;
    map.checkpoint(vec![Change::Put(key, value)]).unwrap();
    let index = Index::new(map);
    assert!(matches!(index.get(b"Zkey"), Err(KvError::Damaged { .. })));
    let scanned = index.scan(b"Z", &[], &mut |_, _| ControlFlow::Continue(()));
    assert!(matches!(scanned, Err(KvError::Damaged { .. })));
}

#[test]
fn looking_at_an_index_that_was_not_closed_changes_nothing_in_it() {
    let fs = SimFs::default();
    let index = Index::new(redb(&fs));
    let mut batch = Batch::default();
    (0..50).for_each(|row| batch.put(rows::chunk(EntityId(1), row), vec![1; 200]));
    index.checkpoint(batch).unwrap();
    let copy = fs.copy();
    drop(index);
    let before = copy.operations();
    let file: Arc<dyn crate::vfs::File> = copy.open("index".as_ref()).unwrap();
    let looked = RedbKv::open(Backend::look(file).unwrap()).unwrap();
    assert_eq!(rows(&Index::new(looked), b"X").len(), 50);
    assert_eq!(copy.operations(), before);
}

#[test]
fn numbers_come_back_as_they_went_in() {
    let numbers = [0, 1, 127, 128, 300, u64::MAX - 1, u64::MAX, 1 << 63];
    for a in numbers {
        for b in numbers {
            let mut pack = Pack::default();
            pack.uint(a);
            pack.step(a, b);
            pack.bytes(&b.to_le_bytes());
            let value = pack.done();
            let mut unpack = Unpack::new(&value);
            assert_eq!((unpack.uint(), unpack.step(a)), (Some(a), Some(b)));
            assert_eq!(unpack.bytes(), Some(&b.to_le_bytes()[..]));
            assert_eq!(unpack.done(()), Some(()));
            for cut in 0..value.len() {
                let mut unpack = Unpack::new(&value[..cut]);
                let all = (|| Some((unpack.uint()?, unpack.step(a)?, unpack.bytes()?)))();
                assert_eq!(all, None, "cut at {cut}");
            }
        }
    }
}

#[test]
fn a_large_index_of_little_use_gives_room_back_wherever_a_crash_comes() {
    let fs = SimFs::default();
    let index = Index::new(redb(&fs));
    fs.sync_dir("".as_ref()).unwrap();
    for entity in 0..100 {
        let mut batch = Batch::default();
        for row in 0..100 {
            batch.put(rows::chunk(EntityId(entity), row), vec![7; 1_000]);
        }
        index.checkpoint(batch).unwrap();
    }
    for entity in 1..100 {
        let mut batch = Batch::default();
        batch.delete_all(rows::chunks(EntityId(entity)));
        index.checkpoint(batch).unwrap();
    }
    let all = rows(&index, b"");
    drop(index);
    let length = |fs: &SimFs| fs.open("index".as_ref()).unwrap().length().unwrap();
    let open = |fs: &SimFs| Index::in_file(fs.open("index".as_ref()).unwrap());
    let large = length(&fs);
    let whole = fs.copy();
    let index = open(&whole).unwrap();
    assert!(length(&whole) < large / 4, "{large}, {}", length(&whole));
    assert_eq!(rows(&index, b""), all);
    drop(index);

    let operations = whole.operations();
    for crash in (1..operations).step_by(usize::try_from(operations / 20).unwrap().max(1)) {
        let copy = fs.copy();
        copy.fail_at(crash);
        drop(open(&copy));
        for loss in [Loss::All, Loss::Nothing, Loss::Torn(crash)] {
            let survivor = copy.after_crash(loss);
            let index = open(&survivor).unwrap();
            assert_eq!(rows(&index, b""), all, "operation {crash}, {loss:?}");
            // It goes on where it was, unless what is left of the way is short.
            assert!(
                length(&survivor) < INDEX_LARGE,
                "operation {crash}, {loss:?}"
            );
        }
    }
}
