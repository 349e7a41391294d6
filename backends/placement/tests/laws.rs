//! The laws of a store, held by a store made of two; and what only it must do.

use std::sync::Arc;

use fairlead_memory::Memory;
use fairlead_placement::ByClass;
use fairlead_testkit::{Slow, Subject, laws};

fn fresh() -> Subject {
    let durable = Arc::new(Memory::new(1 << 30));
    let store = ByClass::new(Arc::new(Memory::new(1 << 30)), Arc::clone(&durable) as _);
    Subject::of(Arc::new(store), durable, ())
}

/// Both places take their time, so that much happens while something moves.
fn slow(seed: u64) -> Subject {
    let durable = Arc::new(Memory::new(1 << 30));
    let place = |store, seed| Arc::new(Slow::new(store, seed)) as _;
    let memory = place(Arc::new(Memory::new(1 << 30)), !seed);
    let store = ByClass::new(memory, place(Arc::clone(&durable) as _, seed));
    Subject::of(Arc::new(store), durable, ())
}

laws!(fresh());

mod classes {
    use fairlead_canon::{Class, Kind, Spec};
    use fairlead_ports::{Op, StoreError, Version};
    use fairlead_testkit::make::{A, B, C, append, append_to, create, expect, message, put};

    use super::*;

    fn create_in_memory() -> Op {
        Op::Create {
            entity: A,
            spec: Spec::new(Kind::Queue, Class::Memory),
        }
    }

    #[tokio::test]
    async fn a_publish_to_both_classes_places_each_target_in_its_turn() {
        let subject = fresh();
        subject
            .done(vec![
                create_in_memory(),
                create(B, Kind::Log),
                create(C, Kind::Log),
            ])
            .await;
        subject
            .done(vec![append(B, message("one")), append(B, message("two"))])
            .await;
        let committed = subject
            .done(vec![append_to(&[B, A, C], message("all"))])
            .await;
        let placed: Vec<_> = committed
            .placed
            .iter()
            .map(|placed| (placed.entity, placed.base.0))
            .collect();
        assert_eq!(placed, [(B, 2), (A, 0), (C, 0)]);
        assert_eq!(subject.bodies(A).await, [(0, "all".into())]);
    }

    #[tokio::test]
    async fn a_document_guards_the_half_in_memory_too() {
        let subject = fresh();
        subject
            .done(vec![create_in_memory(), put(1, "seen", "")])
            .await;
        let unit = vec![expect(1, "seen", Version(0)), append(A, message("twice"))];
        assert_eq!(subject.commit(unit).await, Err(StoreError::Conflict));
        assert_eq!(subject.bodies(A).await, []);
        let unit = vec![
            expect(1, "new", Version(0)),
            append(A, message("once")),
            put(1, "new", ""),
        ];
        subject.done(unit).await;
        assert_eq!(subject.bodies(A).await, [(0, "once".into())]);
    }

    #[tokio::test]
    async fn what_was_deleted_in_vain_is_still_there() {
        let subject = fresh();
        subject.done(vec![create_in_memory()]).await;
        let unit = vec![expect(1, "absent", Version(7)), Op::Delete { entity: A }];
        assert_eq!(subject.commit(unit).await, Err(StoreError::Conflict));
        subject.done(vec![append(A, message("kept"))]).await;
        let delete = || Op::Delete { entity: A };
        subject.done(vec![put(1, "seen", ""), delete()]).await;
        let again = subject.commit(vec![delete()]).await;
        assert_eq!(again, Err(StoreError::NoEntity(A)));
    }

    #[tokio::test]
    async fn an_entity_in_memory_is_deleted_there() {
        let subject = fresh();
        subject.done(vec![create_in_memory()]).await;
        let log = subject.log(A);
        subject.done(vec![Op::Delete { entity: A }]).await;
        assert_eq!(log.marks().await, Err(StoreError::NoEntity(A)));
    }
}

mod moving {
    use std::future::{Future, poll_fn};
    use std::pin::{Pin, pin};
    use std::task::{Context, Waker};

    use fairlead_canon::{Batch, Class, EntityId, Kind, Offset, Outcome, Promise, Spec};
    use fairlead_ports::{
        Decision, Op, Placement, Progress, StoreError, Unit, Units, Version, View, Want,
    };
    use fairlead_testkit::make::{
        A, B, append, append_to, create, end_txn, expect, keyed, marker, message, messages, put,
        settle, settle_for, stamped, transacted, trim,
    };
    use fairlead_testkit::moves;

    use super::*;

    fn as_class(entity: EntityId, kind: Kind, class: Class) -> Op {
        let spec = Spec::new(kind, class);
        Op::Alter { entity, spec }
    }

    fn in_class(entity: EntityId, kind: Kind, class: Class) -> Op {
        let spec = Spec::new(kind, class);
        Op::Create { entity, spec }
    }

    #[tokio::test]
    async fn a_queue_moves_with_everything_that_is_unsettled_in_it() {
        for (from, to) in [(Class::Memory, Class::Local), (Class::Local, Class::Memory)] {
            let subject = fresh();
            subject.done(vec![in_class(A, Kind::Queue, from)]).await;
            for body in ["a", "b", "c", "d"] {
                subject.done(vec![append(A, message(body))]).await;
            }
            subject.done(vec![append(A, messages(4, "e"))]).await;
            let ended = [
                (0..2, Outcome::Done),
                (2..3, Outcome::Returned),
                (5..6, Outcome::Done),
            ];
            for (range, outcome) in ended {
                subject.done(vec![settle(A, range, outcome)]).await;
            }
            subject.done(vec![settle(A, 2..3, Outcome::Returned)]).await;
            let before = (subject.backlog(A, 0).await, subject.bodies(A).await);
            let log = subject.log(A);
            subject.done(vec![as_class(A, Kind::Queue, to)]).await;
            let after = (subject.backlog(A, 0).await, subject.bodies(A).await);
            assert_eq!(before, after);
            assert_eq!(log.marks().await.unwrap().end, Offset(8), "an old handle");
            let placed = subject.done(vec![append(A, message("f"))]).await.placed;
            assert_eq!(placed[0].base, Offset(8));
            let told: Vec<_> = subject.told(A).iter().map(|at| at.base.0).collect();
            assert_eq!(told, [0, 1, 2, 3, 4, 8], "nothing is told twice");
        }
    }

    #[tokio::test]
    async fn offsets_go_on_in_what_was_empty_when_it_moved() {
        for kind in [Kind::Queue, Kind::Log, Kind::Latest] {
            let subject = fresh();
            subject.done(vec![in_class(A, kind, Class::Memory)]).await;
            for body in ["a", "b", "c"] {
                subject.done(vec![append(A, keyed("k", body))]).await;
            }
            subject.done(vec![trim(A, 3)]).await;
            subject.done(vec![as_class(A, kind, Class::Local)]).await;
            let marks = subject.marks(A).await;
            assert_eq!(
                (marks.start.0, marks.end.0, marks.count),
                (3, 3, 0),
                "{kind:?}"
            );
            let placed = subject.done(vec![append(A, keyed("k", "d"))]).await.placed;
            assert_eq!(placed[0].base, Offset(3), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn a_log_and_latest_values_move_as_they_are() {
        let subject = fresh();
        let created = [Kind::Log, Kind::Latest].into_iter().zip([A, B]);
        for (kind, entity) in created {
            subject
                .done(vec![in_class(entity, kind, Class::Memory)])
                .await;
            for (key, body) in [("a", "1"), ("b", "2"), ("a", "3")] {
                subject.done(vec![append(entity, keyed(key, body))]).await;
            }
        }
        subject.done(vec![trim(A, 1)]).await;
        let before = (subject.bodies(A).await, subject.latest(B).await);
        let ops = vec![
            as_class(A, Kind::Log, Class::Local),
            as_class(B, Kind::Latest, Class::Local),
            put(1, "both", "moved"),
        ];
        subject.done(ops).await;
        assert_eq!((subject.bodies(A).await, subject.latest(B).await), before);
        assert_eq!(subject.marks(A).await.start, Offset(1));
        assert!(subject.document(1, "both").await.is_some());
    }

    /// A batch of several messages, each under a key.
    fn under(keys: &[&'static str]) -> Batch {
        let keys = keys.iter().flat_map(|key| keyed(key, "x").keys);
        let keys: Vec<_> = keys.collect();
        let count = keys.iter().map(|_| 1).sum();
        Batch {
            keys,
            ..messages(count, "x")
        }
    }

    #[tokio::test]
    async fn a_batch_moves_although_some_of_its_keys_have_a_newer_message_or_none() {
        let subject = fresh();
        let create = in_class(A, Kind::Latest, Class::Memory);
        subject.done(vec![create]).await;
        let appended = [
            under(&["a", "b", "c"]),
            keyed("b", ""),
            under(&["c", "d"]),
            keyed("d", "newer"),
        ];
        for batch in appended {
            subject.done(vec![append(A, batch)]).await;
        }
        let keys = async || subject.latest(A).await.into_iter().map(|(key, _)| key);
        for class in [Class::Local, Class::Memory] {
            subject.done(vec![as_class(A, Kind::Latest, class)]).await;
            assert_eq!(keys().await.collect::<Vec<_>>(), ["a", "c", "d"]);
            assert_eq!(subject.marks(A).await.count, 3, "{class:?}");
        }
        subject.done(vec![append(A, keyed("a", ""))]).await;
        assert_eq!(keys().await.collect::<Vec<_>>(), ["c", "d"]);
    }

    #[tokio::test]
    async fn what_is_altered_twice_at_once_moves_once() {
        let subject = fresh();
        subject
            .done(vec![in_class(A, Kind::Log, Class::Memory)])
            .await;
        subject.done(vec![append(A, message("a"))]).await;
        let moves = as_class(A, Kind::Log, Class::Local);
        subject.done(vec![moves.clone(), moves]).await;
        assert_eq!(subject.bodies(A).await, [(0, "a".into())]);
    }

    #[tokio::test]
    async fn a_log_moves_with_its_transactions_and_what_its_readers_have_settled() {
        for (from, to) in [(Class::Memory, Class::Local), (Class::Local, Class::Memory)] {
            let subject = fresh();
            subject.done(vec![in_class(A, Kind::Log, from)]).await;
            let ops = vec![
                append(A, transacted(1, 0, 0..2)),
                append(A, transacted(2, 0, 0..1)),
                append(A, marker()),
                end_txn(1, 0, Decision::Abort),
                append(A, message("behind")),
                settle_for(A, 7, 0..2, Outcome::Done),
                settle_for(A, 7, 4..5, Outcome::Returned),
            ];
            subject.done(ops).await;
            let log = subject.log(A);
            let committed = || async {
                let want = Want {
                    view: View::Committed,
                    ..Want::bytes(u32::MAX)
                };
                let chunk = log.read(Offset(0), want).await.expect("it can be read");
                (chunk.batches.len(), chunk.aborted, chunk.marks.stable)
            };
            let before = (committed().await, subject.backlog(A, 7).await);
            assert_eq!(
                (before.0.0, before.0.2),
                (1, Offset(2)),
                "up to what is open"
            );
            subject.done(vec![as_class(A, Kind::Log, to)]).await;
            let after = (committed().await, subject.backlog(A, 7).await);
            assert_eq!(after, before);
            // It ends where it is; the aborted one stays so.
            let end = vec![append(A, marker()), end_txn(2, 0, Decision::Commit)];
            subject.done(end).await;
            let (batches, aborted, stable) = committed().await;
            assert_eq!((batches, aborted.len(), stable), (5, 1, Offset(6)));
        }
    }

    #[tokio::test]
    async fn a_producer_that_was_shut_out_stays_so() {
        let subject = fresh();
        subject
            .done(vec![in_class(A, Kind::Log, Class::Local)])
            .await;
        let ops = vec![
            append(A, transacted(1, 0, 0..1)),
            end_txn(1, 1, Decision::Abort),
        ];
        subject.done(ops).await;
        subject
            .done(vec![as_class(A, Kind::Log, Class::Memory)])
            .await;
        let late = subject
            .commit(vec![append(A, transacted(1, 0, 1..2))])
            .await;
        assert_eq!(late, Err(StoreError::ProducerFenced));
    }

    #[tokio::test]
    async fn what_a_move_expects_in_vain_leaves_it_where_it_was() {
        let subject = fresh();
        subject
            .done(vec![in_class(A, Kind::Queue, Class::Memory)])
            .await;
        subject.done(vec![append(A, message("a"))]).await;
        let refused = vec![
            expect(1, "absent", Version(7)),
            as_class(A, Kind::Queue, Class::Local),
        ];
        assert_eq!(subject.commit(refused).await, Err(StoreError::Conflict));
        subject.done(vec![append(A, message("b"))]).await;
        assert_eq!(subject.bodies(A).await.len(), 2);
        subject
            .done(vec![as_class(A, Kind::Queue, Class::Local)])
            .await;
        assert_eq!(subject.bodies(A).await.len(), 2);
    }

    fn polled_once<F: Future>(future: F) {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        drop(future.as_mut().poll(&mut context));
    }

    #[tokio::test]
    async fn a_move_that_nobody_waits_for_holds_up_nobody() {
        let subject = fresh();
        subject
            .done(vec![in_class(A, Kind::Queue, Class::Memory)])
            .await;
        subject.done(vec![append(A, message("a"))]).await;
        let unit = || Unit {
            ops: [as_class(A, Kind::Queue, Class::Local)].into(),
            promise: Promise::Durable,
        };
        drop(subject.store.commit([unit()].into()));
        polled_once(subject.store.commit([unit()].into()));
        subject.done(vec![append(A, message("b"))]).await;
        assert_eq!(subject.bodies(A).await.len(), 2);
    }

    #[tokio::test]
    async fn a_move_tells_how_far_it_is_and_what_it_was() {
        let subject = slow(7);
        let made = vec![create(B, Kind::Log), in_class(A, Kind::Log, Class::Local)];
        subject.done(made).await;
        for n in 0..40 {
            subject.done(vec![append(A, message(n.to_string()))]).await;
        }
        let held = subject.marks(A).await;
        assert_eq!(subject.store.progress(A), None);
        let ops = [as_class(A, Kind::Log, Class::Memory)].into();
        let promise = Promise::Durable;
        let mut moving = subject.store.commit([Unit { ops, promise }].into());
        let mut seen = Vec::new();
        let outcomes = poll_fn(|context| {
            let polled = Pin::new(&mut moving).poll(context);
            seen.extend(subject.store.progress(A));
            polled
        });
        assert!(outcomes.await[0].is_ok());
        let far = |at: &&Progress| !at.is_over && at.messages_held == 40;
        assert!(seen.iter().any(|at| far(&at) && at.messages == 0));
        assert!(seen.iter().any(|at| far(&at) && at.messages == 40));
        let end = seen.last().expect("it was polled");
        assert!(end.is_over && end.rounds >= 2, "{end:?}");
        let copied = (end.number, end.messages, end.bytes, end.bytes_held);
        assert_eq!(copied, (1, 40, held.bytes, held.bytes));
        assert_eq!(subject.store.progress(B), None);
    }

    #[tokio::test]
    async fn what_comes_during_a_move_waits_and_keeps_its_order() {
        let subject = fresh();
        let ops = vec![
            in_class(A, Kind::Queue, Class::Memory),
            create(B, Kind::Log),
        ];
        subject.done(ops).await;
        let unit = |op| {
            let (ops, promise) = ([op].into(), Promise::Durable);
            Units::from([Unit { ops, promise }])
        };
        let mut waiting = Vec::new();
        for round in 0..20_u64 {
            let class = [Class::Local, Class::Memory][usize::from(round % 2 == 1)];
            let moves = as_class(A, Kind::Queue, class);
            waiting.push(subject.store.commit(unit(moves)));
            for n in 0..5 {
                let body = format!("{round}/{n}");
                let op = append_to(&[A, B], message(body));
                waiting.push(subject.store.commit(unit(op)));
            }
        }
        // Those who wait at the gate are handed over by the moves before them.
        let outcomes = futures_util::future::join_all(waiting).await;
        assert!(outcomes.iter().flatten().all(Result::is_ok), "{outcomes:?}");
        let (queue, log) = (subject.bodies(A).await, subject.bodies(B).await);
        assert_eq!((queue.len(), queue), (100, log));
        let told: Vec<_> = subject.told(A).iter().map(|at| at.base.0).collect();
        assert_eq!(told, (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_producer_goes_on_after_a_move_although_its_batches_are_gone() {
        for kind in [Kind::Log, Kind::Queue, Kind::Latest] {
            for (from, to) in [(Class::Memory, Class::Local), (Class::Local, Class::Memory)] {
                let subject = fresh();
                subject.done(vec![in_class(A, kind, from)]).await;
                let keyed = |first: i32| Batch {
                    stamp: stamped(7, 1, first..first + 1).stamp,
                    ..keyed("k", "x")
                };
                for first in 0..4 {
                    subject.done(vec![append(A, keyed(first))]).await;
                }
                subject.done(vec![trim(A, 3)]).await;
                subject.done(vec![as_class(A, kind, to)]).await;
                assert_eq!(subject.marks(A).await.count, 1, "{kind:?}");
                let again = subject.done(vec![append(A, keyed(1))]).await.placed;
                let duplicate = (Offset(1), Placement::Duplicate);
                assert_eq!((again[0].base, again[0].how), duplicate, "{kind:?}");
                let gap = subject.commit(vec![append(A, keyed(5))]).await;
                assert_eq!(gap, Err(StoreError::OutOfSequence { last: 3, got: 5 }));
                let next = subject.done(vec![append(A, keyed(4))]).await.placed;
                assert_eq!(next[0].base, Offset(4), "{kind:?}");
            }
        }
    }

    #[tokio::test]
    async fn traces_with_moves_in_between_end_as_without() {
        for seed in 0..100 {
            let reference = Subject::new(Arc::new(Memory::new(1 << 30)), ());
            let stay = |subject| subject;
            let moves = moves::run(seed, 300, (reference, slow(seed)), stay).await;
            assert!(moves > 3, "seed {seed}: {moves}");
        }
    }
}
