//! Reading a compacted log from its start gives the same map as all messages do.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{Batch, Key, Kind, Outcome};
use fairlead_memory::Memory;
use fairlead_ports::{CursorId, Decision, Op};
use fairlead_testkit::Subject;
use fairlead_testkit::make::{A, append, create, end_txn, marker, messages, transacted};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

struct Bench {
    subject: Subject,
    log: Arc<dyn Log>,
}

impl Workplace for Bench {
    fn log(&self) -> &dyn Log {
        self.log.as_ref()
    }

    fn remove(&self, ranges: SmallVec<[Range<u64>; 1]>) -> BoxFuture<'_, Result<(), StoreError>> {
        let settle = Op::Settle {
            entity: A,
            cursor: CursorId::CLEANER,
            ranges,
            outcome: Outcome::Done,
        };
        Box::pin(async { self.subject.commit(vec![settle]).await.map(drop) })
    }

    fn pause(&self, _bytes: u64) -> Result<(), StoreError> {
        Ok(())
    }
}

const RULES: Compaction = Compaction {
    lag_min_ms: 0,
    deletes_kept_ms: 0,
};

fn bench() -> Bench {
    let subject = Subject::new(Arc::new(Memory::new(1 << 30)), ());
    let log = subject.log(A);
    Bench { subject, log }
}

/// One message for each key; a key in capitals has no value.
fn keyed(keys: &str, time: u64) -> Batch {
    let key = |letter: char| Key {
        key: Some(Bytes::from(letter.to_lowercase().to_string())),
        has_value: letter.is_lowercase(),
    };
    Batch {
        keys: keys.chars().map(key).collect(),
        time: Timestamp(time),
        ..messages(u32::try_from(keys.len()).unwrap(), keys.to_owned())
    }
}

impl Bench {
    async fn fill(&self, batches: &[(&str, u64)]) {
        self.subject.done(vec![create(A, Kind::Log)]).await;
        for (keys, time) in batches {
            self.subject.done(vec![append(A, keyed(keys, *time))]).await;
        }
    }

    async fn clean(&self, rules: Compaction, now: u64, keys_max: usize) -> Option<Timestamp> {
        let cleaner = Cleaner {
            place: self,
            rules,
            now: Timestamp(now),
            keys_max,
        };
        cleaner.clean().await.expect("the log can be cleaned")
    }

    async fn left(&self) -> Vec<String> {
        let bodies = self.subject.bodies(A).await.into_iter();
        bodies
            .map(|(_, body)| String::from_utf8(body.to_vec()).unwrap())
            .collect()
    }

    /// Key to offset of its newest message that has a value, for a reader of committed messages.
    async fn map(&self) -> BTreeMap<Bytes, u64> {
        let mut map = BTreeMap::new();
        let start = self.subject.marks(A).await.start;
        let want = Want {
            bytes_max: u32::MAX,
            count_max: u32::MAX,
            view: View::Committed,
        };
        let chunk = self.log.read(start, want).await.unwrap();
        for stored in &chunk.batches {
            if is_aborted(stored, &chunk.aborted) {
                continue;
            }
            for (at, key) in (stored.base.0..).zip(&stored.batch.keys) {
                let name = key.key.clone().expect("a key");
                match key.has_value {
                    true => drop(map.insert(name, at)),
                    false => drop(map.remove(&name)),
                }
            }
        }
        map
    }
}

#[tokio::test]
async fn a_batch_goes_when_all_of_it_was_replaced() {
    let bench = bench();
    bench
        .fill(&[("ab", 1), ("a", 2), ("c", 3), ("b", 4), ("a", 5)])
        .await;
    assert_eq!(bench.clean(RULES, 9, 100).await, None);
    assert_eq!(bench.left().await, ["c", "b", "a"]);
}

#[tokio::test]
async fn what_is_young_stays_and_says_until_when() {
    let bench = bench();
    bench.fill(&[("a", 1), ("a", 5), ("a", 7)]).await;
    let rules = Compaction {
        lag_min_ms: 10,
        ..RULES
    };
    assert_eq!(bench.clean(rules, 12, 100).await, Some(Timestamp(15)));
    assert_eq!(bench.left().await, ["a", "a"]);
    assert_eq!(bench.clean(rules, 15, 100).await, None);
    assert_eq!(bench.left().await, ["a"]);
}

#[tokio::test]
async fn a_message_without_a_value_stays_for_a_time_and_while_an_older_one_of_its_key_does() {
    let bench = bench();
    bench.fill(&[("ab", 1), ("A", 2), ("c", 3), ("C", 4)]).await;
    let rules = Compaction {
        deletes_kept_ms: 10,
        ..RULES
    };
    assert_eq!(bench.clean(rules, 9, 100).await, Some(Timestamp(14)));
    assert_eq!(bench.left().await, ["ab", "A", "C"]);
    assert_eq!(bench.clean(rules, 20, 100).await, None);
    assert_eq!(bench.left().await, ["ab", "A"], "a is still there");
    bench.subject.done(vec![append(A, keyed("b", 21))]).await;
    bench.clean(rules, 40, 100).await;
    assert_eq!(bench.left().await, ["b"]);
}

#[tokio::test]
async fn what_is_open_is_not_touched_and_what_was_aborted_replaces_nothing() {
    let bench = bench();
    bench.fill(&[("a", 1), ("b", 1)]).await;
    let in_txn = |keys, from| Batch {
        stamp: transacted(1, 0, from..from + 1).stamp,
        flags: transacted(1, 0, from..from + 1).flags,
        ..keyed(keys, 2)
    };
    bench.subject.done(vec![append(A, in_txn("a", 0))]).await;
    bench.subject.done(vec![append(A, keyed("b", 3))]).await;
    bench.clean(RULES, 9, 100).await;
    assert_eq!(bench.left().await, ["a", "b", "a", "b"]);
    let abort = vec![append(A, marker()), end_txn(1, 0, Decision::Abort)];
    bench.subject.done(abort).await;
    bench.clean(RULES, 9, 100).await;
    assert_eq!(bench.left().await, ["a", "b", "marker"]);
}

#[tokio::test]
async fn a_compacted_log_gives_the_same_map_as_a_plain_one() {
    for seed in 0..300 {
        let mut random = StdRng::seed_from_u64(seed);
        let bench = bench();
        bench.fill(&[]).await;
        let mut sequence = 0;
        for time in 0..40 {
            let letters = |_| {
                let letter = char::from(b'a' + random.random_range(0..8_u8));
                match random.random_bool(0.2) {
                    true => letter.to_ascii_uppercase(),
                    false => letter,
                }
            };
            let keys: String = (0..3).map(letters).take(1 + time % 3).collect();
            let mut batch = keyed(&keys, time as u64);
            if random.random_bool(0.3) {
                let count = i32::try_from(keys.len()).unwrap();
                let of = transacted(1, 0, sequence..sequence + count);
                (batch.stamp, batch.flags) = (of.stamp, of.flags);
                sequence += count;
            }
            bench.subject.done(vec![append(A, batch)]).await;
            if random.random_bool(0.2) {
                let decision = match random.random_bool(0.5) {
                    true => Decision::Commit,
                    false => Decision::Abort,
                };
                let end = vec![append(A, marker()), end_txn(1, 0, decision)];
                bench.subject.done(end).await;
            }
            if random.random_bool(0.2) {
                let before = bench.map().await;
                let rules = Compaction {
                    lag_min_ms: random.random_range(0..10),
                    deletes_kept_ms: random.random_range(0..10),
                };
                let keys_max = random.random_range(1..10);
                bench.clean(rules, time as u64, keys_max).await;
                assert_eq!(bench.map().await, before, "seed {seed}, time {time}");
            }
        }
    }
}
