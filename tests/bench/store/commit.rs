//! B1 and B2: a lone durable append beside a bare `fdatasync`, and 256 writers with one message in flight each.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{Class, EntityId, Kind, Promise, Spec};
use fairlead_native::Native;
use fairlead_ports::{Op, Store as _, Unit};
use tokio::time::Instant;

use crate::bench::{Bench, all, append, cpu, durable, median};

const ROUNDS: usize = 600;
const WRITERS: usize = 256;
/// Bytes of a body: of the yard's messages, and of larger ones.
const BODIES: [usize; 2] = [100, 256];
/// One writer and all of them take turns, so that both meet the same disk and the same neighbours: so many
/// pairs of turns in which the host left this machine its cores.
const TURNS: usize = 15;
/// Pairs that are tried for them.
const TURNS_MAX: usize = 45;
/// More stolen time than this, in percent, and a turn says nothing of the store.
const STOLEN_MAX: f64 = 1.0;
const TURN: Duration = Duration::from_millis(700);
/// Before them, until log files are used again.
const WARM_UP: Duration = Duration::from_secs(3);
const PAGE: u64 = 4096;
/// Where the stolen time stands in the first line of `/proc/stat`.
const STEAL: usize = 7;
/// What the log keeps, so that its files are used again as those of a node that has run for a while.
const KEPT_BYTES: u64 = 64 << 20;

pub(crate) fn run(bench: &Bench) {
    let store = bench.open();
    let mut spec = Spec::new(Kind::Log, Class::Local);
    spec.retention.bytes = Some(KEPT_BYTES);
    let entity = EntityId(1);
    bench.commit(&*store, vec![durable([Op::Create { entity, spec }])]);
    write(bench, &store, (WRITERS, BODIES[1], WARM_UP));
    let (lone, bare) = lone(bench, &store);
    let ratio = lone.as_secs_f64() / bare.as_secs_f64();
    println!("  fdatasync of one page, p50                  {bare:>10.1?}");
    println!(
        "  durable append, one writer, p50             {lone:>10.1?}   {ratio:.2} x (bar 1.3)"
    );
    for body in BODIES {
        take_turns(bench, &store, body);
    }
}

/// Lets one writer and all of them take turns, and says what they did in the turn in the middle.
fn take_turns(bench: &Bench, store: &Arc<Native>, body: usize) {
    println!("  bodies of {body} B");
    let ratio = |[one, many]: &[Turn; 2]| many.rate / one.rate;
    let mut turns = Vec::new();
    for _ in 0..TURNS_MAX {
        let pair = [1, WRITERS].map(|writers| turn(bench, store, (writers, body)));
        let ([one, many], ratio) = (&pair, ratio(&pair));
        println!(
            "    {:>6.0} and {:>8.0} /s: {ratio:>4.0} x, stolen {:.1} and {:.1} %",
            one.rate, many.rate, one.stolen, many.stolen
        );
        turns.extend((one.stolen.max(many.stolen) <= STOLEN_MAX).then_some(pair));
        if turns.len() == TURNS {
            break;
        }
    }
    if turns.len() < TURNS {
        println!("  the host took too much of the cores: nothing is said of the rates");
        return;
    }
    turns.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    let middle = turns.swap_remove(TURNS / 2);
    let ([one, many], ratio) = (middle, ratio(&middle));
    println!(
        "  one writer                                  {:>10.0} /s",
        one.rate
    );
    println!(
        "  {WRITERS} writers                                 {:>10.0} /s   {ratio:.0} x (bar 100)",
        many.rate
    );
    println!(
        "  messages per sync                           {:>10.0}      (bar 100)",
        many.per_sync
    );
    println!(
        "  CPU per message, writers and all            {:>10.2} us",
        many.cpu_us
    );
}

/// What some writers did in their turn.
#[derive(Clone, Copy)]
struct Turn {
    /// Messages in a second.
    rate: f64,
    per_sync: f64,
    /// Of one message.
    cpu_us: f64,
    /// What other machines on the same host took meanwhile, in percent of the time of all cores.
    stolen: f64,
}

fn turn(bench: &Bench, store: &Arc<Native>, (writers, body): (usize, usize)) -> Turn {
    let (before, begin, host) = (store.stats(), cpu(), host_time());
    let (count, time) = write(bench, store, (writers, body, TURN));
    let (after, spent, since) = (store.stats(), cpu() - begin, host_time());
    Turn {
        rate: count as f64 / time.as_secs_f64(),
        per_sync: count as f64 / (after.syncs - before.syncs) as f64,
        cpu_us: spent.as_secs_f64() * 1e6 / count as f64,
        stolen: 100.0 * (since.stolen - host.stolen) / (since.all - host.all),
    }
}

/// Time of all cores since the system was started, in ticks.
struct HostTime {
    all: f64,
    stolen: f64,
}

fn host_time() -> HostTime {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let cores = stat.lines().next().unwrap().split_whitespace().skip(1);
    let ticks: Vec<f64> = cores.map(|ticks| ticks.parse().unwrap()).collect();
    HostTime {
        all: ticks.iter().sum(),
        stolen: ticks.get(STEAL).copied().unwrap(),
    }
}

/// Alternates between the store and a bare file, so that both meet the same disk.
fn lone(bench: &Bench, store: &Arc<Native>) -> (Duration, Duration) {
    let body = Bytes::from_static(&[7; BODIES[1]]);
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
            all(store.commit([durable([append([1], &body)])].into()).await);
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

/// How many messages writers with one in flight each got through in about that time, and what it was. They look at
/// a flag and not at the clock, and put together a message as a caller does who has one: it is their time too.
fn write(
    bench: &Bench,
    store: &Arc<Native>,
    (writers, body, least): (usize, usize, Duration),
) -> (u64, Duration) {
    let body = Bytes::from(vec![7; body]);
    let is_over = Arc::new(AtomicBool::new(false));
    bench.runtime.block_on(async {
        let begin = Instant::now();
        let write = |_| {
            let (store, body, is_over) = (Arc::clone(store), body.clone(), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut count = 0_u64;
                while !is_over.load(Ordering::Relaxed) {
                    let unit = Unit {
                        ops: [append([1], &body)].into(),
                        promise: Promise::Durable,
                    };
                    let outcomes = store.commit([unit].into()).await;
                    assert!(outcomes.iter().all(Result::is_ok));
                    count += 1;
                }
                count
            })
        };
        let tasks: Vec<_> = (0..writers).map(write).collect();
        tokio::time::sleep(least).await;
        is_over.store(true, Ordering::Relaxed);
        let mut count = 0;
        for task in tasks {
            count += task.await.unwrap();
        }
        (count, begin.elapsed())
    })
}
