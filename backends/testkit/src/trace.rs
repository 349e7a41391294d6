//! Random operations on two stores: the same answers, and the same content afterwards.

use std::collections::BTreeMap;

use bytes::Bytes;
use fairlead_canon::{
    Batch, DeadReason, EntityId, Key, Kind, Offset, Outcome, Overflow, ProducerId, Promise,
    Retention, SizeLimits, Spec, Timestamp,
};
use fairlead_ports::{
    By, Committed, CursorId, Decision, Document, Log, Marks, Op, Placed, Space, StoreError, Stored,
    Unit, Units, Version, View, Want,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::Subject;
use crate::make::{append_at, append_to, messages, settle_for, spec, stamped, trim};

/// Entities that a trace works on: their numbers are those below this.
pub const ENTITIES: u64 = 8;
const KEYS: [&str; 4] = ["a", "a/1", "a/2", "b"];
/// How much is shown of what is the same before a difference.
const AROUND: usize = 100;
const SPACE: Space = Space(7);

/// Makes the operations of one trace.
#[derive(Debug)]
pub struct Trace {
    random: StdRng,
    /// The next sequence of each producer in each entity, more or less.
    sequences: Vec<i32>,
}

/// A document that is expected as it is, or otherwise.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Met(&'static str),
    Missed(&'static str),
}

/// One step: units, and what each expects of a document.
#[derive(Debug)]
struct Step {
    units: Vec<(Option<Expected>, Unit)>,
}

/// Runs `steps` random commits on both stores and compares them; at times, and at the end, the tested
/// one is taken through `restart`. Panics with the seed where they differ.
pub async fn run(
    seed: u64,
    steps: usize,
    reference: Subject,
    mut tested: Subject,
    restart: impl Fn(Subject) -> Subject,
) {
    let mut trace = Trace::new(seed);
    for at in 0..steps {
        let step = trace.step();
        let expected = commit(&reference, &step).await;
        let got = commit(&tested, &step).await;
        assert_eq!(expected, got, "seed {seed}, step {at}: {step:#?}");
        if trace.random.random_ratio(1, 40) {
            if trace.random.random_ratio(1, 8) {
                tested = restart(tested);
            }
            compare(
                &reference,
                &tested,
                &format!("seed {seed}, after step {at}"),
            )
            .await;
        }
    }
    let end = format!("seed {seed}, at the end");
    compare(&reference, &tested, &end).await;
    tested = restart(tested);
    compare(&reference, &tested, &format!("{end}, after a restart")).await;
}

type Answer = Result<Vec<Placed>, StoreError>;

async fn commit(subject: &Subject, step: &Step) -> Vec<Answer> {
    let mut units = Units::new();
    for (expected, unit) in &step.units {
        let mut unit = unit.clone();
        if let Some(expected) = expected {
            unit.ops.insert(0, expectation(subject, *expected).await);
        }
        units.push(unit);
    }
    let answer = |result: Result<Committed, _>| result.map(|committed| committed.placed.to_vec());
    subject
        .store
        .commit(units)
        .await
        .into_iter()
        .map(answer)
        .collect()
}

async fn expectation(subject: &Subject, expected: Expected) -> Op {
    let (key, version) = match expected {
        Expected::Met(key) => {
            let document = subject.documents.get(SPACE, key.into()).await.unwrap();
            (
                key,
                document.map_or(Version(0), |document| document.version),
            )
        }
        Expected::Missed(key) => (key, Version(u64::MAX)),
    };
    Op::Expect {
        space: SPACE,
        key: key.into(),
        version,
    }
}

pub(crate) async fn compare(reference: &Subject, tested: &Subject, when: &str) {
    let (expected, got) = (digest(reference).await, digest(tested).await);
    let both = expected.iter().zip(&got).enumerate();
    for (at, (expected, got)) in both.filter(|(_, (expected, got))| expected != got) {
        let same = expected.bytes().zip(got.bytes());
        let same = same.take_while(|(expected, got)| expected == got).count();
        let around = |text: &str| -> String {
            let text = text.chars().skip(same.saturating_sub(AROUND));
            text.take(3 * AROUND).collect()
        };
        let (expected, got) = (around(expected), around(got));
        assert_eq!(expected, got, "{when}, entity {at}, byte {same}");
    }
}

/// Everything that can be seen of what [`Trace`] works on, except what differs between stores that
/// hold the same: versions of documents, and what was handed out before a restart.
pub async fn digest(subject: &Subject) -> Vec<String> {
    let mut seen = Vec::new();
    for entity in (0..ENTITIES).map(EntityId) {
        let look = look(subject, entity).await;
        seen.push(look.unwrap_or_else(|error| error.to_string()));
    }
    let documents = subject
        .documents
        .list(SPACE, Bytes::new(), None, 100)
        .await
        .unwrap();
    let due = subject
        .documents
        .due(Timestamp(u64::MAX), 100)
        .await
        .unwrap();
    let without_version = |document: Document| (document.key, document.value, document.due);
    let content = |documents: Vec<Document>| {
        documents
            .into_iter()
            .map(without_version)
            .collect::<Vec<_>>()
    };
    seen.push(format!("{:?} {:?}", content(documents), content(due)));
    seen
}

/// A read ends before what cannot be read: only the next one says why.
async fn read_all(log: &dyn Log, marks: &Marks) -> Result<Vec<Stored>, StoreError> {
    let (mut all, mut at) = (Vec::new(), marks.start);
    while at < marks.end {
        let chunk = log.read(at, Want::bytes(u32::MAX)).await?;
        let Some(last) = chunk.batches.last() else {
            break;
        };
        at = last.base.plus(u64::from(last.batch.span));
        all.extend(chunk.batches);
    }
    Ok(all)
}

/// Everything that can be seen of an entity.
async fn look(subject: &Subject, entity: EntityId) -> Result<String, StoreError> {
    let log = subject.log(entity);
    // What was handed out before a restart is not what was handed out in this process.
    let marks = Marks {
        handed_out: Offset(0),
        ..log.marks().await?
    };
    let all = read_all(&*log, &marks).await?;
    let middle = Offset((marks.start.0 + marks.end.0) / 2);
    let some = log
        .read(
            middle,
            Want {
                view: View::All,
                bytes_max: 40,
                count_max: 5,
            },
        )
        .await?
        .batches;
    let mut backlogs = Vec::new();
    for cursor in [0, 1, 2, CursorId::DEAD.0] {
        backlogs.push(log.backlog(CursorId(cursor), Offset(0), 1000).await?);
        backlogs.push(log.backlog(CursorId(cursor), middle, 3).await?);
    }
    let committed = Want {
        view: View::Committed,
        ..Want::bytes(100)
    };
    let committed = log.read(marks.start, committed).await?;
    let committed = (committed.batches.len(), committed.aborted);
    let fetched = log
        .fetch(
            (marks.start.0..marks.end.0)
                .step_by(3)
                .map(Offset)
                .collect(),
        )
        .await?;
    let found = log.find(By::Time(Timestamp(50))).await?;
    let writers = log.writers().await?;
    let latest = log
        .latest(Bytes::from("a"), None, 2)
        .await
        .map(|page| (named(page.entries), page.is_cut));
    let mut lists = [all, some, fetched];
    if kind(entity) == Kind::Latest {
        let newest = newest(&*log).await?;
        lists = lists.map(|batches| with_newest(&newest, batches));
    }
    let [all, some, fetched] = lists.map(|batches| told(entity, batches));
    Ok(format!(
        "{marks:?}\n{all:?}\n{some:?}\n{backlogs:?}\n{committed:?}\n{fetched:?}\n{found:?}\n{latest:?}\n{writers:?}"
    ))
}

/// Where the batch begins that has the newest message of each key.
async fn newest(log: &dyn Log) -> Result<BTreeMap<Bytes, Offset>, StoreError> {
    let page = log.latest(Bytes::new(), None, usize::MAX).await?;
    let newest = page.entries.into_iter();
    Ok(newest.map(|(key, stored)| (key, stored.base)).collect())
}

/// Batches with the keys alone whose newest message they have: the others say nothing any more, and do
/// not go with a batch that moves.
fn with_newest(newest: &BTreeMap<Bytes, Offset>, mut batches: Vec<Stored>) -> Vec<Stored> {
    for Stored { base, batch, .. } in &mut batches {
        let is_newest = |key: &Bytes| newest.get(key) == Some(base);
        batch
            .keys
            .retain(|key| key.has_value && key.key.as_ref().is_some_and(is_newest));
    }
    batches
}

/// Keys with the offsets and bodies of their messages.
fn named(entries: Vec<(Bytes, Stored)>) -> Vec<(Bytes, Offset, Bytes)> {
    let name = |(key, stored): (Bytes, Stored)| (key, stored.base, stored.batch.bytes);
    entries.into_iter().map(name).collect()
}

/// Batches as they are to be compared. When a message of a queue is due, its entry says: what the age of
/// the queue makes of it goes with the message where that moves.
fn told(entity: EntityId, mut batches: Vec<Stored>) -> Vec<Stored> {
    if kind(entity) == Kind::Queue {
        let due = batches.iter_mut().map(|stored| &mut stored.batch.deadline);
        due.for_each(|deadline| *deadline = None);
    }
    batches
}

impl Trace {
    /// The same operations for the same seed.
    pub fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            sequences: vec![0; 3 * 10],
        }
    }

    /// Makes all entities, plain ones, so that what follows finds them.
    pub fn creation() -> Unit {
        let create = |entity| Op::Create {
            entity,
            spec: spec(kind(entity)),
        };
        Unit {
            ops: (0..ENTITIES).map(EntityId).map(create).collect(),
            promise: Promise::Durable,
        }
    }

    /// A unit that expects nothing of documents. It promises durability, so that everything is
    /// visible once the answer is there.
    pub fn unit(&mut self) -> Unit {
        let count = self.random.random_range(1..4);
        Unit {
            ops: (0..count).map(|_| self.op()).collect(),
            promise: Promise::Durable,
        }
    }

    fn step(&mut self) -> Step {
        let count = self.random.random_range(1..4);
        Step {
            units: (0..count).map(|_| (self.expected(), self.unit())).collect(),
        }
    }

    fn expected(&mut self) -> Option<Expected> {
        match self.random.random_range(0..12) {
            0 => Some(Expected::Missed(self.key())),
            1..3 => Some(Expected::Met(self.key())),
            _ => None,
        }
    }

    fn op(&mut self) -> Op {
        let entity = self.entity();
        match self.random.random_range(0..100) {
            0..8 => Op::Create {
                entity,
                spec: self.spec(entity),
            },
            8..9 => Op::Alter {
                entity,
                spec: self.spec(entity),
            },
            9..10 => Op::Delete { entity },
            10..55 => {
                let others = self.random.random_range(0..2);
                let all: Vec<_> = (0..others).map(|_| self.entity()).chain([entity]).collect();
                append_to(&all, self.batch(entity))
            }
            55..60 => {
                let batch = self.batch(entity);
                append_at(entity, self.random.random_range(0..200), batch)
            }
            60..64 => self.end_txn(),
            64..85 => {
                let cursor = self.cursor(entity);
                let start = self.random.random_range(0..150);
                let range = start..start + self.random.random_range(0..20);
                settle_for(entity, cursor, range, self.outcome())
            }
            85..88 => trim(entity, self.random.random_range(0..150)),
            88..90 => Op::Mark {
                entity,
                upto: Offset(self.random.random_range(0..100)),
            },
            _ => self.put(),
        }
    }

    fn cursor(&mut self, entity: EntityId) -> u64 {
        let is_other = self.random.random_ratio(1, 6);
        match kind(entity) {
            Kind::Queue if is_other => CursorId::DEAD.0,
            Kind::Queue => 0,
            Kind::Log if is_other => CursorId::CLEANER.0,
            Kind::Log | Kind::Latest => self.random.random_range(0..3),
        }
    }

    fn end_txn(&mut self) -> Op {
        let entity = self.random.random_bool(0.2).then(|| self.entity());
        Op::EndTxn {
            producer: ProducerId(self.random.random_range(0..3)),
            epoch: i16::from(self.random.random_ratio(1, 8)),
            decision: *[Decision::Commit, Decision::Abort]
                .choose(&mut self.random)
                .unwrap(),
            entity,
        }
    }

    fn entity(&mut self) -> EntityId {
        EntityId(self.random.random_range(0..ENTITIES))
    }

    fn key(&mut self) -> &'static str {
        KEYS.choose(&mut self.random).unwrap()
    }

    fn spec(&mut self, entity: EntityId) -> Spec {
        let overflow = [Overflow::Reject, Overflow::DropHead, Overflow::DropNew];
        let limits = SizeLimits {
            count_max: self
                .random
                .random_bool(0.3)
                .then(|| self.random.random_range(0..40)),
            bytes_max: self
                .random
                .random_bool(0.3)
                .then(|| self.random.random_range(0..400)),
            overflow: *overflow.choose(&mut self.random).unwrap(),
        };
        let retention = Retention {
            age_ms: (kind(entity) == Kind::Queue && self.random.random_bool(0.3))
                .then(|| self.random.random_range(0..50)),
            bytes: self
                .random
                .random_bool(0.2)
                .then(|| self.random.random_range(0..300)),
        };
        Spec {
            limits,
            retention,
            keeps_dead: self.random.random_bool(0.5),
            ..spec(kind(entity))
        }
    }

    fn outcome(&mut self) -> Outcome {
        let all = [
            Outcome::Done,
            Outcome::Done,
            Outcome::Returned,
            Outcome::Dead(DeadReason::Expired),
        ];
        *all.choose(&mut self.random).unwrap()
    }

    fn batch(&mut self, entity: EntityId) -> Batch {
        let mut batch = match self.random.random_range(0..3) {
            0 => self.stamped(entity),
            _ => {
                let len = self.random.random_range(0..30);
                messages(self.random.random_range(1..5), vec![b'x'; len])
            }
        };
        batch.time = Timestamp(self.random.random_range(0..100));
        batch.deadline = self
            .random
            .random_bool(0.2)
            .then(|| Timestamp(self.random.random_range(1..100)));
        if self.random.random_bool(0.6) {
            batch.keys = (0..batch.count).map(|_| self.message_key()).collect();
        }
        batch
    }

    fn stamped(&mut self, entity: EntityId) -> Batch {
        let producer = self.random.random_range(0..3_i64);
        let slot = usize::try_from(producer).unwrap() * 10 + usize::try_from(entity.0).unwrap();
        let next = self.sequences.get_mut(slot).unwrap();
        let first = match self.random.random_range(0..10) {
            0 => *next + 1,
            1..3 => (*next - 2).max(0),
            _ => *next,
        };
        let count = self.random.random_range(1..3);
        let is_transactional = kind(entity) == Kind::Log && self.random.random_bool(0.3);
        let epoch = i16::from(self.random.random_ratio(1, 30));
        *next = first + count;
        let mut batch = stamped(producer, epoch, first..first + count);
        batch.flags.transactional = is_transactional;
        batch
    }

    fn message_key(&mut self) -> Key {
        let key = (!self.random.random_ratio(1, 40)).then(|| Bytes::from(self.key()));
        Key {
            key,
            has_value: self.random.random_bool(0.8),
        }
    }

    fn put(&mut self) -> Op {
        let value = self
            .random
            .random_bool(0.7)
            .then(|| Bytes::from(self.random.random_range(0..9_u8).to_string()));
        let due = self
            .random
            .random_bool(0.5)
            .then(|| Timestamp(self.random.random_range(1..100)));
        Op::Put {
            space: SPACE,
            key: self.key().into(),
            value,
            due,
        }
    }
}

/// Each entity has one kind for ever, as ids do.
pub(crate) fn kind(entity: EntityId) -> Kind {
    match entity.0 % 3 {
        0 => Kind::Log,
        1 => Kind::Queue,
        _ => Kind::Latest,
    }
}
