//! Whoever reads sees what was handed over before, although nobody has waited for it.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{Kind, Offset, Outcome, Promise};
use fairlead_ports::{CursorId, Op, Ops, Space, Store, Unit};
use fairlead_testkit::Subject;
use fairlead_testkit::make::{A, append, create, keyed, message};

use super::{settings, world};
use crate::store::Native;
use crate::vfs::sim::SimFs;

const ROUNDS: u16 = 300;

fn opened(fs: &SimFs) -> (Arc<Native>, Subject) {
    let native = Arc::new(Native::open(&settings(), &world(fs, 1)).unwrap());
    let subject = Subject::new(Arc::clone(&native), ());
    (native, subject)
}

fn hand_over(native: &Native, op: Op) {
    let ops: Ops = [op].into();
    let promise = Promise::Accepted;
    drop(native.commit([Unit { ops, promise }].into()));
}

#[tokio::test]
async fn the_newest_values_are_those_that_were_handed_over_before() {
    let fs = SimFs::default();
    let (native, subject) = opened(&fs);
    subject.done(vec![create(A, Kind::Latest)]).await;
    for number in 0..ROUNDS {
        let mut batch = keyed("", "x");
        batch.keys[0].key = Some(Bytes::copy_from_slice(&number.to_be_bytes()));
        hand_over(&native, append(A, batch));
        assert_eq!(subject.latest(A).await.len(), usize::from(number) + 1);
    }
}

#[tokio::test]
async fn a_backlog_knows_of_what_was_returned_before() {
    let fs = SimFs::default();
    let (native, subject) = opened(&fs);
    let made = vec![create(A, Kind::Queue), append(A, message("x"))];
    subject.done(made).await;
    for number in 1..=ROUNDS {
        hand_over(
            &native,
            Op::Settle {
                entity: A,
                cursor: CursorId(0),
                ranges: std::iter::once(0..1).collect(),
                outcome: Outcome::Returned,
            },
        );
        let log = subject.log(A);
        let backlog = log.backlog(CursorId(0), Offset(0), 10).await.unwrap();
        assert_eq!(backlog[0].requeued, number);
    }
}

#[tokio::test]
async fn documents_are_those_that_were_handed_over_before() {
    let fs = SimFs::default();
    let (native, _subject) = opened(&fs);
    let key = Bytes::from_static(b"key");
    for number in 0..ROUNDS {
        let value = Bytes::copy_from_slice(&number.to_be_bytes());
        let put = Op::Put {
            space: Space(1),
            key: key.clone(),
            value: Some(value.clone()),
            due: None,
        };
        hand_over(&native, put);
        let documents = fairlead_ports::Documents::get(&*native, Space(1), key.clone());
        assert_eq!(documents.await.unwrap().unwrap().value, value);
        let listed = fairlead_ports::Documents::list(&*native, Space(1), key.clone(), None, 9);
        assert_eq!(listed.await.unwrap()[0].value, value);
    }
}
