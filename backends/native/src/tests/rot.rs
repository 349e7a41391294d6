//! What a reader, or the scrubber, meets where a record below the checkpoint has rotted.

use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{Batch, Key, Kind, Offset};
use fairlead_ports::{Log, StoreError, Want};
use fairlead_testkit::Subject;
use fairlead_testkit::make::{A, append, create, message};

use tokio::time::Instant;

use super::{Inline, open};
use crate::lsn::{FileNo, file_of, position_of};
use crate::seal::{Scrub, View};
use crate::vfs::sim::SimFs;

const COUNT: u64 = 10;
const ROTTEN: u64 = 4;

/// A store that holds some messages in `A`, one of which is not what was written, and where that lies.
fn rotten(kind: Kind) -> (Subject, (String, u64)) {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    store.done(vec![create(A, kind)]);
    for n in 0..COUNT {
        let body = n.to_string();
        let batch = match kind {
            Kind::Latest => Batch {
                keys: vec![Key {
                    key: Some(body.clone().into()),
                    has_value: true,
                }],
                ..message(body)
            },
            Kind::Log | Kind::Queue => message(body),
        };
        store.done(vec![append(A, batch)]);
    }
    let entity = store.shared.state.entity(A).unwrap();
    let mut places: Vec<_> = entity.content.lock().places().collect();
    let at = places.remove(usize::try_from(ROTTEN).unwrap());
    store.write_checkpoint(store.begin_checkpoint()).unwrap();
    drop(store);
    let path = format!("data/wal/{}", file_of(at.lsn).name());
    let byte = position_of(at.lsn);
    fs.damage(path.as_ref(), |bytes| {
        bytes[usize::try_from(byte).unwrap() + at.len as usize / 2] ^= 1;
    });
    (open(&fs).unwrap(), (path, byte))
}

fn bodies(batches: &[fairlead_ports::Stored]) -> Vec<Bytes> {
    batches.iter().map(|it| it.batch.bytes.clone()).collect()
}

fn numbers(range: std::ops::Range<u64>) -> Vec<Bytes> {
    range.map(|n| n.to_string().into()).collect()
}

fn corrupt((file, at): (String, u64)) -> StoreError {
    StoreError::Corrupt {
        entity: A,
        offset: Offset(ROTTEN),
        file,
        at,
    }
}

async fn read(log: &dyn Log, from: u64) -> Result<Vec<Bytes>, StoreError> {
    let chunk = log.read(Offset(from), Want::bytes(u32::MAX)).await?;
    Ok(bodies(&chunk.batches))
}

#[tokio::test]
async fn a_reader_gets_what_is_whole_up_to_the_damage_and_behind_it() {
    let (subject, place) = rotten(Kind::Log);
    let log = subject.log(A);
    assert_eq!(read(&*log, 0).await, Ok(numbers(0..ROTTEN)));
    assert_eq!(read(&*log, ROTTEN).await, Err(corrupt(place)));
    assert_eq!(
        read(&*log, ROTTEN + 1).await,
        Ok(numbers(ROTTEN + 1..COUNT))
    );
}

#[tokio::test]
async fn a_queue_gives_none_of_what_it_is_asked_for_together_with_damage() {
    let (subject, place) = rotten(Kind::Queue);
    let log = subject.log(A);
    let at = |range: std::ops::Range<u64>| range.map(Offset).collect::<Vec<_>>();
    // Nobody may take the damaged one for one that is gone.
    assert_eq!(log.fetch(at(0..COUNT)).await.unwrap_err(), corrupt(place));
    assert_eq!(
        bodies(&log.fetch(at(0..ROTTEN)).await.unwrap()),
        numbers(0..ROTTEN)
    );
}

#[tokio::test]
async fn the_latest_values_are_listed_up_to_the_damage_and_behind_it() {
    let (subject, place) = rotten(Kind::Latest);
    let log = subject.log(A);
    let page = |after: u64| {
        let after = Bytes::from(after.to_string());
        log.latest(Bytes::new(), Some(after), 100)
    };
    let listed = |page: &fairlead_ports::KeyPage| {
        let entries = page.entries.iter();
        entries.map(|(key, _)| key.clone()).collect::<Vec<_>>()
    };
    let damaged = Some((ROTTEN.to_string().into(), corrupt(place)));
    for (after, whole) in [(0, 1..ROTTEN), (ROTTEN - 1, ROTTEN..ROTTEN)] {
        let before = page(after).await.unwrap();
        assert_eq!((listed(&before), before.is_cut), (numbers(whole), true));
        assert_eq!(before.damaged, damaged);
    }
    let behind = page(ROTTEN).await.unwrap();
    assert_eq!(
        (listed(&behind), behind.is_cut, behind.damaged),
        (numbers(ROTTEN + 1..COUNT), false, None)
    );
}

/// What the scrubber of a process comes to that is restarted after the first file of its round.
fn first_of_a_round(fs: &SimFs) -> Result<(), String> {
    let store = Inline::open(fs).unwrap();
    let ground = &store.shared.state.ground;
    let view = View {
        uses: ground.uses.lock().clone(),
        homes: ground.homes.lock().clone(),
        applied: store.shared.desk.last(),
    };
    let start = Instant::now();
    let mut scrub = Scrub::new(start);
    let begin = scrub.next();
    assert!(begin - start < Duration::from_secs(3_600));
    let read = scrub.step(begin, &store.sealer, &store.shared.state, &view);
    store.close().unwrap();
    read.map_err(|error| error.to_string())
}

#[test]
fn a_node_that_never_ends_a_round_still_finds_what_has_rotted() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    store.done(vec![create(A, Kind::Log)]);
    (0..100).for_each(|_| store.done(vec![append(A, message(vec![1; 3_000]))]));
    store.write_checkpoint(store.begin_checkpoint()).unwrap();
    store.close().unwrap();
    let oldest = FileNo(1).name();
    fs.damage(format!("data/wal/{oldest}").as_ref(), |bytes| {
        bytes[20_000] ^= 1
    });
    let found = (0..100).find_map(|_| first_of_a_round(&fs).err());
    assert!(found.unwrap().contains(&oldest));
}
