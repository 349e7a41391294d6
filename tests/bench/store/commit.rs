//! B1 and B2: a lone durable append beside a bare `fdatasync`, and 256 writers with one message in flight each.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{Class, EntityId, Kind, Spec};
use fairlead_native::Native;
use fairlead_ports::{Op, Store as _};
use tokio::time::Instant;

use crate::bench::{Bench, all, append, cpu, durable, median};

const ROUNDS: usize = 600;
const WRITERS: usize = 256;
const TIME: Duration = Duration::from_secs(4);
const PAGE: u64 = 4096;
/// What the log keeps, so that its files are used again as those of a node that has run for a while.
const KEPT_BYTES: u64 = 64 << 20;

pub(crate) fn run(bench: &Bench) {
    let store = bench.open();
    let mut spec = Spec::new(Kind::Log, Class::Local);
    spec.retention.bytes = Some(KEPT_BYTES);
    let entity = EntityId(1);
    bench.commit(&*store, vec![durable([Op::Create { entity, spec }])]);
    rate(bench, &store, WRITERS);
    let (lone, bare) = lone(bench, &store);
    let ratio = lone.as_secs_f64() / bare.as_secs_f64();
    println!("  fdatasync of one page, p50                  {bare:>10.1?}");
    println!(
        "  durable append, one writer, p50             {lone:>10.1?}   {ratio:.2} x (bar 1.3)"
    );
    let one = rate(bench, &store, 1);
    let (before, begin) = (store.stats(), cpu());
    let many = rate(bench, &store, WRITERS);
    let (after, spent) = (store.stats(), cpu() - begin);
    let ratio = many / one;
    println!("  one writer                                  {one:>10.0} /s");
    println!(
        "  {WRITERS} writers                                 {many:>10.0} /s   {ratio:.0} x (bar 100)"
    );
    let syncs = after.syncs - before.syncs;
    let per_sync = many * TIME.as_secs_f64() / syncs as f64;
    println!("  messages per sync                           {per_sync:>10.0}      (bar 100)");
    let each = spent.as_secs_f64() * 1e6 / (many * TIME.as_secs_f64());
    println!("  CPU per message, writers and all            {each:>10.2} us");
}

/// Alternates between the store and a bare file, so that both meet the same disk.
fn lone(bench: &Bench, store: &Arc<Native>) -> (Duration, Duration) {
    let body = Bytes::from_static(&[7; 256]);
    let file = prepared(bench);
    let (mut lone, mut bare) = (Vec::new(), Vec::new());
    bench.runtime.block_on(async {
        for round in 0..ROUNDS as u64 {
            let begin = Instant::now();
            file.write_all_at(&[9; PAGE as usize], (1 + round) * PAGE)
                .unwrap();
            file.sync_data().unwrap();
            bare.push(begin.elapsed());
            let begin = Instant::now();
            all(store.commit(vec![durable([append([1], &body)])]).await);
            lone.push(begin.elapsed());
        }
    });
    (median(lone), median(bare))
}

/// A file that is written over, as log files are.
fn prepared(bench: &Bench) -> File {
    let file = File::create_new(bench.dir().join("bare")).unwrap();
    let zeros = vec![0; (ROUNDS + 2) * PAGE as usize];
    file.write_all_at(&zeros, 0).unwrap();
    file.sync_all().unwrap();
    file
}

fn rate(bench: &Bench, store: &Arc<Native>, writers: usize) -> f64 {
    let body = Bytes::from_static(&[7; 256]);
    bench.runtime.block_on(async {
        let begin = Instant::now();
        let write = |_| {
            let (store, body) = (Arc::clone(store), body.clone());
            tokio::spawn(async move {
                let mut count = 0_u64;
                while begin.elapsed() < TIME {
                    let outcomes = store.commit(vec![durable([append([1], &body)])]).await;
                    assert!(outcomes.iter().all(Result::is_ok));
                    count += 1;
                }
                count
            })
        };
        let tasks: Vec<_> = (0..writers).map(write).collect();
        let mut count = 0;
        for task in tasks {
            count += task.await.unwrap();
        }
        count as f64 / begin.elapsed().as_secs_f64()
    })
}
