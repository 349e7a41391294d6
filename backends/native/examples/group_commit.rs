//! How many durable commits a second: one writer, and many with one message in flight each.
//! Compare the two; a single figure says more about the disk than about the store.

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{
    Batch, BatchFlags, Class, Codec, EntityId, EpochTag, Kind, Promise, Spec, Timestamp,
};
use fairlead_native::vfs::Disk;
use fairlead_native::{Native, Settings, World};
use fairlead_ports::{Clock, Entropy, Op, Place, Store, Target, Unit};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use tokio::time::Instant;

const ENTITY: EntityId = EntityId(1);
const WRITERS: usize = 256;
const TIME: Duration = Duration::from_secs(3);

#[derive(Debug)]
struct Outside;

impl Clock for Outside {
    fn wall(&self) -> Timestamp {
        Timestamp(1)
    }
}

impl Entropy for Outside {
    fn fill(&self, out: &mut [u8]) {
        StdRng::from_os_rng().fill_bytes(out);
    }
}

fn unit(op: Op) -> Vec<Unit> {
    vec![Unit {
        ops: vec![op],
        promise: Promise::Durable,
    }]
}

fn append() -> Vec<Unit> {
    let batch = Batch {
        codec: Codec::Envelope,
        bytes: Bytes::from_static(&[7; 256]),
        count: 1,
        span: 1,
        time: Timestamp(1),
        deadline: None,
        stamp: None,
        flags: BatchFlags::default(),
        keys: Vec::new(),
    };
    let to = vec![Target {
        entity: ENTITY,
        place: Place::Next,
        tag: EpochTag(0),
    }];
    unit(Op::Append { to, batch })
}

/// Commits a second, by so many writers.
async fn rate(store: &Arc<Native>, writers: usize) -> f64 {
    let begin = Instant::now();
    let write = |_| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let mut count = 0_u32;
            while begin.elapsed() < TIME {
                count += u32::from(store.commit(append()).await.iter().all(Result::is_ok));
            }
            count
        })
    };
    let tasks: Vec<_> = (0..writers).map(write).collect();
    let mut count = 0;
    for task in tasks {
        count += task.await.unwrap_or(0);
    }
    f64::from(count) / begin.elapsed().as_secs_f64()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir_in(".")?;
    let world = World {
        clock: Arc::new(Outside),
        entropy: Arc::new(Outside),
        vfs: Arc::new(Disk),
    };
    let store = Arc::new(Native::open(&Settings::new(dir.path()), &world)?);
    store
        .commit(unit(Op::Create {
            entity: ENTITY,
            spec: Spec::new(Kind::Log, Class::Local),
        }))
        .await;
    let one = rate(&store, 1).await;
    let before = store.stats();
    let many = rate(&store, WRITERS).await;
    let after = store.stats();
    let (units, syncs) = (after.units - before.units, after.syncs - before.syncs);
    let mut out = std::io::stdout().lock();
    writeln!(out, "1 writer:      {one:>9.0} durable commits/s")?;
    writeln!(out, "{WRITERS} writers:   {many:>9.0} durable commits/s")?;
    writeln!(out, "ratio:         {:>9.1}", many / one)?;
    writeln!(out, "units a sync:  {:>9.1}", units as f64 / syncs as f64)?;
    writeln!(
        out,
        "us a sync:     {:>9.1}",
        (after.sync_micros - before.sync_micros) as f64 / syncs as f64
    )?;
    writeln!(
        out,
        "us a frame:    {:>9.1}",
        TIME.as_micros() as f64 / syncs as f64
    )?;
    Ok(())
}
