//! The laws of a store, held by a store made of two; and what only it must do.

use std::sync::Arc;

use fairlead_memory::Memory;
use fairlead_placement::ByClass;
use fairlead_testkit::{Subject, laws};

fn fresh() -> Subject {
    let durable = Arc::new(Memory::new(1 << 30));
    let store = ByClass::new(Arc::new(Memory::new(1 << 30)), Arc::clone(&durable) as _);
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
    async fn an_entity_in_memory_is_deleted_there() {
        let subject = fresh();
        subject.done(vec![create_in_memory()]).await;
        let log = subject.log(A);
        subject.done(vec![Op::Delete { entity: A }]).await;
        assert_eq!(log.marks().await, Err(StoreError::NoEntity(A)));
    }
}
