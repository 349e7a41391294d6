//! B13: an entity changes its class while it is written to; how long its writer waits at most.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{Class, EntityId, Kind, Offset, Spec};
use fairlead_memory::Memory;
use fairlead_placement::ByClass;
use fairlead_ports::{Op, Store, Want};
use tokio::time::Instant;

use crate::bench::{Bench, all, append, create, durable};

/// Messages of 1 KiB that the entity holds when it is moved first.
const HELD: u64 = 20_000;
const TOGETHER: u64 = 100;
const TIME: Duration = Duration::from_secs(4);
/// Between two messages of the writer, so that it does not fill the memory.
const PACE: Duration = Duration::from_millis(1);

pub(crate) fn run(bench: &Bench) {
    let durable_store = bench.open() as Arc<dyn Store>;
    let memory = Arc::new(Memory::new(1 << 30));
    let store: Arc<dyn Store> = Arc::new(ByClass::new(memory, durable_store));
    let body = Bytes::from(vec![7; 1024]);
    bench.commit(
        &*store,
        vec![durable(vec![create(1, Kind::Log, Class::Memory)])],
    );
    for _ in 0..HELD / TOGETHER {
        let units = (0..TOGETHER).map(|_| durable(vec![append([1], &body)]));
        bench.commit(&*store, units.collect());
    }
    bench.runtime.block_on(async {
        for class in [Class::Local, Class::Memory, Class::Local] {
            let writer = tokio::spawn(write(Arc::clone(&store), body.clone()));
            tokio::time::sleep(TIME / 2).await;
            let spec = Spec::new(Kind::Log, class);
            let alter = Op::Alter { entity: EntityId(1), spec };
            let begin = Instant::now();
            all(store.commit([durable([alter])].into()).await);
            let took = begin.elapsed();
            let (written, longest) = writer.await.unwrap();
            println!("  to {class:?}: in {took:.1?}; {written} appends meanwhile, the longest waited {longest:.1?} (bar 100 ms)");
        }
        let log = store.open(EntityId(1)).unwrap();
        let read = log.read(Offset(0), Want::bytes(1 << 20)).await.unwrap();
        assert!(read.marks.count == read.marks.end.0, "a message is missing");
    });
}

/// Appends one message after the other; how many there were, and how long the slowest took.
async fn write(store: Arc<dyn Store>, body: Bytes) -> (u64, Duration) {
    let (begin, mut written, mut longest) = (Instant::now(), 0, Duration::ZERO);
    while begin.elapsed() < TIME {
        let one = Instant::now();
        all(store.commit([durable([append([1], &body)])].into()).await);
        longest = longest.max(one.elapsed());
        written += 1;
        tokio::time::sleep(PACE).await;
    }
    (written, longest)
}
