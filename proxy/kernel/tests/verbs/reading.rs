//! Reading by offset, and committed positions.

use fairlead_canon::{EntityId, Offset, Principal};
use fairlead_kernel::testing::CountingEntropy;
use fairlead_kernel::{Backing, FetchAt, FetchLimits, Position, Reason, View};

use fairlead_ports::{Action, Denied, Policy, Store, Verdict};

use crate::*;

async fn log(caller: &mut Caller, name: &str) -> EntityId {
    let key = StreamKey::new(Family::Log, name);
    let new = NewStream {
        at: Some(shared(name)),
        ..NewStream::new(key, Kind::Log, Class::Local, ORIGIN)
    };
    caller
        .declare(vec![Change::CreateStream(new)])
        .await
        .unwrap()
        .streams[0]
        .lanes[0]
}

fn from(entity: EntityId, offset: u64) -> Vec<FetchAt> {
    vec![FetchAt {
        entity,
        from: Offset(offset),
        bytes_max: 1 << 20,
    }]
}

fn limits(wait: Duration) -> FetchLimits {
    FetchLimits {
        bytes_min: 1,
        bytes_max: 1 << 20,
        wait_max: wait,
        view: View::All,
    }
}

#[tokio::test]
async fn a_fetch_at_the_end_waits_for_the_next_message() {
    let mesh = Mesh::new().await;
    let (mut reader, mut writer) = (mesh.caller(), mesh.caller());
    let entity = log(&mut writer, "a").await;
    let waiting = tokio::spawn(reader.fetch(from(entity, 0), limits(Duration::from_secs(60))));
    tokio::task::yield_now().await;
    published(&mut writer, &shared("a"), "x").await;
    let fetched = waiting.await.unwrap();
    let chunk = fetched[0].result.as_ref().unwrap();
    assert_eq!((chunk.batches.len(), chunk.marks.end), (1, Offset(1)));
    assert_quiet(&mut reader);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_answers_with_nothing_after_its_time() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    let entity = log(&mut caller, "a").await;
    let fetched = caller
        .fetch(from(entity, 0), limits(Duration::from_millis(500)))
        .await;
    assert!(fetched[0].result.as_ref().unwrap().batches.is_empty());
}

#[tokio::test]
async fn an_offset_beyond_the_end_is_out_of_range_at_once() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    let entity = log(&mut caller, "a").await;
    let fetched = caller
        .fetch(from(entity, 1), limits(Duration::from_secs(60)))
        .await;
    assert_eq!(
        fetched[0].result.as_ref().unwrap_err().reason,
        Reason::OutOfRange
    );
}

#[tokio::test]
async fn positions_of_groups_are_kept_apart_and_can_be_forgotten() {
    let mesh = Mesh::new().await;
    let caller = mesh.caller();
    let position = |offset| Position {
        entity: EntityId(7),
        offset,
        leader_epoch: -1,
        metadata: Bytes::from_static(b"note"),
    };
    caller.commit("a", &[position(5)]).await.unwrap();
    caller.commit("ab", &[position(9)]).await.unwrap();
    caller.commit("a", &[position(6)]).await.unwrap();
    assert_eq!(caller.positions("a").await.unwrap(), [position(6)]);
    assert_eq!(caller.positions("ab").await.unwrap(), [position(9)]);
    caller.forget_positions("a").await.unwrap();
    assert_eq!(caller.positions("a").await.unwrap(), []);
}

/// Denies reading what is called `secret`.
#[derive(Debug)]
struct NoSecrets;

impl Policy for NoSecrets {
    fn name(&self) -> &'static str {
        "no-secrets"
    }

    fn admit(&self, _: &Principal, action: &Action<'_>) -> Verdict {
        match action {
            Action::Consume(name) if *name == "secret" => Verdict::No(Denied {
                policy: "no-secrets",
                why: "it is secret",
            }),
            _ => Verdict::Yes,
        }
    }
}

#[tokio::test]
async fn a_fetch_asks_for_each_name_and_answers_in_order() {
    let store = Arc::new(Memory::new(1 << 30));
    let backing = Backing {
        store: Arc::clone(&store) as Arc<dyn Store>,
        documents: store,
        clock: Arc::new(ManualClock::at(1_000_000)),
        entropy: Arc::new(CountingEntropy::default()),
    };
    let kernel = Kernel::open(backing, |_| Arc::new(NoSecrets))
        .await
        .unwrap();
    let mut caller = enter(&kernel);
    let (open, secret) = (
        log(&mut caller, "open").await,
        log(&mut caller, "secret").await,
    );
    let at = [open, secret, open].map(|entity| from(entity, 0).remove(0));
    let long = limits(Duration::from_secs(60));
    let fetched = caller.fetch(at.to_vec(), long).await;
    let seen: Vec<_> = fetched
        .iter()
        .map(|one| {
            (
                one.entity,
                one.result.as_ref().err().map(|error| error.reason),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [(open, None), (secret, Some(Reason::Denied)), (open, None)]
    );
}
