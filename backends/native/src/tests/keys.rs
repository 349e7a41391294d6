//! More keys of latest values than there is room for in memory.

use std::collections::BTreeMap;

use bytes::Bytes;
use fairlead_canon::{Batch, Kind, Offset, Promise};
use fairlead_ports::{Op, Unit};
use fairlead_testkit::make::{A, append, create, keyed, trim};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Inline;
use crate::limits::KEYS_MAX;
use crate::vfs::sim::SimFs;

fn commit(store: &mut Inline, op: Op) {
    let ops = [op].into();
    let promise = Promise::Durable;
    let answers = store.commit(Unit { ops, promise }).unwrap();
    assert!(answers[0].is_ok(), "{answers:?}");
}

fn batch(key: u32, has_value: bool) -> Batch {
    let mut batch = keyed("", if has_value { "x" } else { "" });
    batch.keys[0].key = Some(name(key));
    batch
}

fn name(key: u32) -> Bytes {
    format!("{}/{key:03}", key % 3).into()
}

/// All keys and offsets, in pages of so many.
fn listed(store: &Inline, prefix: &'static str, page: usize) -> Vec<(Bytes, u64)> {
    let entity = store.shared.state.entity(A).unwrap();
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let mut content = entity.content.lock();
        let found = content.latest(&prefix.into(), after.as_ref(), page);
        let entries = found.entries.into_iter();
        all.extend(entries.map(|(key, found)| (key, found.base.0)));
        after = all.last().map(|(key, _)| key.clone());
        if !found.is_cut {
            return all;
        }
    }
}

#[test]
fn keys_beyond_the_limit_are_read_from_the_index() {
    let mut random = StdRng::seed_from_u64(11);
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    commit(&mut store, create(A, Kind::Latest));
    let (mut expected, mut begun) = (BTreeMap::new(), None);
    for at in 0..600_u64 {
        let (key, has_value) = (random.random_range(0..100), random.random_bool(0.8));
        commit(&mut store, append(A, batch(key, has_value)));
        if has_value {
            expected.insert(name(key), at);
        } else {
            expected.remove(&name(key));
        }
        if at == 400 {
            commit(&mut store, trim(A, 300));
            expected.retain(|_, at| *at >= 300);
        }
        match at % 10 {
            0 => begun = Some(store.begin_checkpoint()),
            4 => {
                let write = |begun| store.write_checkpoint(begun).unwrap();
                begun.take().into_iter().for_each(write);
                let kept = store
                    .shared
                    .state
                    .ground
                    .keys
                    .load(std::sync::atomic::Ordering::Relaxed);
                assert!(kept <= KEYS_MAX + 4, "what the index has not: {kept}");
            }
            _ => {}
        }
        if at % 50 == 7 {
            drop(store);
            begun = None;
            store = Inline::open(&fs).unwrap();
        }
        if at % 7 == 0 {
            let all: Vec<_> = expected.clone().into_iter().collect();
            assert_eq!(listed(&store, "", 1 + key as usize), all, "after {at}");
            let some = all.into_iter().filter(|(key, _)| key.starts_with(b"1/"));
            assert_eq!(listed(&store, "1/", 3), some.collect::<Vec<_>>());
            let entity = store.shared.state.entity(A).unwrap();
            let marks = entity.content.lock().marks();
            assert_eq!(
                (marks.count, marks.end),
                (expected.len() as u64, Offset(at + 1))
            );
        }
    }
    assert!(expected.len() > 10 * KEYS_MAX);
}
