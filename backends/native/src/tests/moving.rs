//! The power fails at every file operation of a script in which entities move between memory and this
//! store: each is in one place afterwards, with everything, or was in memory and is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fairlead_canon::{Class, EntityId, Kind, Outcome, Spec};
use fairlead_memory::Memory;
use fairlead_placement::ByClass;
use fairlead_ports::{Decision, Op, StoreError};
use fairlead_testkit::make::{
    append, append_to, create, end_txn, marker, message, put, settle, settle_for, transacted,
};
use fairlead_testkit::trace::digest;
use fairlead_testkit::{Subject, Time};
use parking_lot::Mutex;

use super::objects;
use super::traces::Single;
use crate::vfs::sim::{Loss, Observer, SimFs};

const LOG: EntityId = EntityId(0);
const QUEUE: EntityId = EntityId(1);
/// A checkpoint after every third commit.
const SEED: u64 = 2;

/// Both move, and a document says where they are, as those of the kernel do.
fn moves(class: Class, word: &'static str) -> Vec<Op> {
    let alter = |(entity, kind)| Op::Alter {
        entity,
        spec: Spec::new(kind, class),
    };
    let both = [(LOG, Kind::Log), (QUEUE, Kind::Queue)].map(alter);
    both.into_iter().chain([put(7, "class", word)]).collect()
}

fn script() -> Vec<Vec<Op>> {
    let both = |body| vec![append_to(&[LOG, QUEUE], message(body))];
    vec![
        vec![create(LOG, Kind::Log), create(QUEUE, Kind::Queue)],
        both("one"),
        both("two"),
        vec![append(LOG, transacted(1, 0, 0..2))],
        vec![settle(QUEUE, 0..1, Outcome::Done)],
        vec![settle_for(LOG, 1, 0..1, Outcome::Done)],
        moves(Class::Memory, "memory"),
        both("three"),
        vec![
            append(LOG, marker()),
            end_txn(1, 0, Decision::Abort),
            put(7, "ended", "1"),
        ],
        moves(Class::Local, "local"),
        both("four"),
        vec![settle(QUEUE, 1..2, Outcome::Done)],
        moves(Class::Memory, "memory"),
        both("five"),
        moves(Class::Local, "local"),
        both("six"),
    ]
}

fn memory() -> Memory {
    Memory::new(1 << 30).timed_by(Arc::new(Time::at(1)))
}

/// What is on disk after each commit; the first one is nothing.
async fn expected(script: &[Vec<Op>]) -> Vec<Vec<String>> {
    let reference = Subject::new(Arc::new(memory()), ());
    let mut all = vec![digest(&reference).await];
    let mut is_in_memory = false;
    for ops in script {
        reference.done(ops.clone()).await;
        for op in ops {
            if let Op::Alter { spec, .. } = op {
                is_in_memory = spec.class == Class::Memory;
            }
        }
        let mut seen = digest(&reference).await;
        if is_in_memory {
            for (entity, seen) in [LOG, QUEUE].into_iter().zip(&mut seen) {
                *seen = StoreError::NoEntity(entity).to_string();
            }
        }
        all.push(seen);
    }
    all
}

/// What a disk could hold when the power failed after an operation.
struct Crash {
    when: String,
    answered: usize,
    fs: SimFs,
}

/// Plays the script once; everything that a crash in it could leave.
async fn crashes(script: &[Vec<Op>]) -> Vec<Crash> {
    let (fs, answered) = (SimFs::default(), Arc::new(AtomicUsize::new(0)));
    let crashes = Arc::new(Mutex::new(Vec::new()));
    let (count, all) = (Arc::clone(&answered), Arc::clone(&crashes));
    fs.observe(Some(Observer::new(move |fs| {
        let operation = fs.operations();
        let answered = count.load(Ordering::Relaxed);
        for loss in [
            Loss::All,
            Loss::Nothing,
            Loss::Some(operation),
            Loss::Torn(operation),
        ] {
            all.lock().push(Crash {
                when: format!("after operation {operation}, {loss:?}, {answered} answered"),
                answered,
                fs: fs.after_crash(loss),
            });
        }
    })));
    let durable = Arc::new(Single::open(&fs, SEED, Some(objects(&fs))));
    let store = ByClass::new(Arc::new(memory()), Arc::clone(&durable) as _);
    let subject = Subject::of(Arc::new(store), durable, ());
    for ops in script {
        subject.done(ops.clone()).await;
        answered.fetch_add(1, Ordering::Relaxed);
    }
    fs.observe(None);
    std::mem::take(&mut *crashes.lock())
}

#[tokio::test]
async fn what_moves_is_in_one_place_after_a_crash_at_any_operation() {
    let script = script();
    let expected = expected(&script).await;
    let crashes = crashes(&script).await;
    assert!(crashes.len() > 100, "{}", crashes.len());
    for Crash { when, answered, fs } in crashes {
        let durable = Arc::new(Single::open(&fs, SEED, Some(objects(&fs))));
        let store = ByClass::new(Arc::new(memory()), Arc::clone(&durable) as _);
        let swept = store.sweep(&*durable).await;
        swept.expect("what was on its way is removed");
        let seen = digest(&Subject::new(durable, ())).await;
        let mut possible = expected.iter().skip(answered).take(2);
        assert!(
            possible.any(|possible| *possible == seen),
            "{when}: {:?}",
            expected.iter().position(|known| *known == seen)
        );
    }
}
