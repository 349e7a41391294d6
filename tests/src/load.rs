//! A load on all three doors that can be struck at any moment, and the audit of what must be left of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::{Client, Line, Mesh, Program, Record};

/// Lanes of the topic that the publisher with keys writes to; the two others have one.
const LANES: u32 = 3;
const KEYS: usize = 10;
pub(crate) const MARKER: &[u8] = b"end of the load";
/// What a publisher sends in a round at most, so that what is kept does not grow with the speed of the machine.
const MESSAGES_MAX: usize = 40_000;
/// How long each client in turn is listened to.
const TURN: Duration = Duration::from_millis(5);
/// Turns without an acknowledgement after which the load has failed: half a minute.
const SILENT_TURNS_MAX: usize = 2_000;

/// Everything that has been acknowledged on one data directory so far.
#[derive(Clone, Debug, Default)]
pub struct Load {
    acked: BTreeSet<Sent>,
    round: usize,
}

/// The three who publish, each to an address of its own that is a topic too, and all bound to one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Publisher {
    Mqtt,
    Kafka,
    Amqp,
}

const PUBLISHERS: [Publisher; 3] = [Publisher::Mqtt, Publisher::Kafka, Publisher::Amqp];

/// What a publisher sent as its `number`-th message of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sent {
    pub(crate) publisher: Publisher,
    round: usize,
    number: usize,
}

impl Load {
    /// Makes the topics and the queue that the load goes to.
    pub fn prepare(mesh: &Mesh) -> Self {
        let kafka = mesh.port("kafka");
        for publisher in PUBLISHERS {
            let lanes = lanes(publisher).to_string();
            Client::start(
                Program::Librdkafka,
                &["create", &kafka, topic(publisher), "--partitions", &lanes],
            );
        }
        Client::start(
            Program::Pika,
            &[
                "declare",
                &mesh.port("amqp"),
                "load",
                "--bind",
                "amq.topic",
                "load.#",
            ],
        );
        Self::default()
    }

    /// Three clients publish as fast as they can; after `enough` acknowledgements, some for each of them, `strike` is
    /// called, and the clients are ended when it returns.
    ///
    /// # Panics
    /// When a publish fails before the strike.
    pub fn round<T>(&mut self, mesh: Mesh, enough: usize, strike: impl FnOnce(Mesh) -> T) -> T {
        let round = self.round;
        self.round += 1;
        let mut clients: Vec<(Publisher, Client)> = PUBLISHERS
            .into_iter()
            .map(|publisher| (publisher, start(&mesh, publisher, round)))
            .collect();
        let enough = self.acked.len() + enough;
        let mut silent = 0;
        let mut unheard = BTreeSet::from(PUBLISHERS);
        while self.acked.len() < enough || !unheard.is_empty() {
            silent += 1;
            for (publisher, client) in &clients {
                match client.line_within(TURN) {
                    Some(Line::Acked(number)) => {
                        self.acked.insert(Sent {
                            publisher: *publisher,
                            round,
                            number,
                        });
                        if unheard.remove(publisher) || self.acked.len() < enough {
                            silent = 0;
                        }
                    }
                    Some(other) => panic!("{publisher:?} said {other:?} before the strike"),
                    None => {}
                }
            }
            assert!(
                silent < SILENT_TURNS_MAX,
                "no acknowledgement comes after {} of {enough}",
                self.acked.len()
            );
        }
        let struck = strike(mesh);
        for (publisher, client) in &mut clients {
            client.kill();
            while let Some(line) = client.line() {
                if let Line::Acked(number) = line {
                    self.acked.insert(Sent {
                        publisher: *publisher,
                        round,
                        number,
                    });
                }
            }
        }
        struck
    }

    /// Whether this could be a record of the load: one that it publishes, byte for byte.
    pub fn has_sent(&self, arrived: &Record) -> bool {
        sent(arrived).is_some_and(|sent| sent.round < self.round && sent.is_whole(arrived))
    }

    pub(crate) fn acked(&self) -> &BTreeSet<Sent> {
        &self.acked
    }

    /// How many markers an audit puts behind what these publish.
    pub(crate) fn markers(of: impl Fn(Publisher) -> bool) -> u32 {
        PUBLISHERS
            .into_iter()
            .filter(|from| of(*from))
            .map(lanes)
            .sum()
    }

    /// Everything acknowledged is in its topic, in the order of its key and without a gap in the offsets, and in the
    /// queue. Reads the queue empty, so it is the last word on a data directory.
    ///
    /// # Panics
    /// When it is not so.
    pub fn audit(&self, mesh: &Mesh) {
        let kafka = mesh.port("kafka");
        let markers: Vec<Record> = PUBLISHERS
            .into_iter()
            .flat_map(|publisher| (0..lanes(publisher)).map(move |lane| marker(publisher, lane)))
            .collect();
        Client::start(Program::Librdkafka, &["publish", &kafka]).publish_all(&markers);

        let mut found = BTreeSet::new();
        for publisher in PUBLISHERS {
            let reader = Client::start(Program::Librdkafka, &["consume", &kafka, topic(publisher)]);
            let lanes = read_lanes(&reader, lanes(publisher));
            for (lane, records) in &lanes {
                let offsets = records.iter().filter_map(|record| record.offset);
                assert!(
                    offsets.eq(0..records.len() as u64),
                    "offsets of {publisher:?} lane {lane} are not dense"
                );
            }
            found.extend(in_order(lanes.into_values().flatten()));
        }
        assert_holds("the topics", &found, &self.acked);

        let queue = Client::start(Program::Pika, &["consume", &mesh.port("amqp"), "load"]);
        let mut ended = 0;
        let until_markers = std::iter::from_fn(|| {
            let record = queue.arrival();
            ended += usize::from(record.body.as_deref() == Some(MARKER));
            (ended < markers.len()).then_some(record)
        });
        assert_holds("the queue", &in_order(until_markers), &self.acked);
    }
}

impl Sent {
    /// Whether what arrived is what was sent, byte for byte.
    pub(crate) fn is_whole(self, arrived: &Record) -> bool {
        record(self).body == arrived.body
    }
}

fn start(mesh: &Mesh, publisher: Publisher, round: usize) -> Client {
    let mut client = match publisher {
        Publisher::Mqtt => Client::start(Program::Paho, &["publish", &mesh.port("mqtt")]),
        Publisher::Kafka => Client::start(Program::Librdkafka, &["publish", &mesh.port("kafka")]),
        Publisher::Amqp => Client::start(Program::Pika, &["publish", &mesh.port("amqp")]),
    };
    client.feed((0..MESSAGES_MAX).map(move |number| {
        record(Sent {
            publisher,
            round,
            number,
        })
    }));
    client
}

pub(crate) fn assert_holds(place: &str, found: &BTreeSet<Sent>, acked: &BTreeSet<Sent>) {
    let lost: Vec<&Sent> = acked.difference(found).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged are not in {place}: {:?} ..",
        lost.len(),
        acked.len(),
        lost.first()
    );
}

/// The records of each lane up to its marker.
fn read_lanes(reader: &Client, count: u32) -> BTreeMap<u32, Vec<Record>> {
    let mut lanes: BTreeMap<u32, Vec<Record>> = BTreeMap::new();
    let mut ended = 0;
    while ended < count {
        let record = reader.arrival();
        ended += u32::from(record.body.as_deref() == Some(MARKER));
        lanes
            .entry(record.partition.expect("a lane"))
            .or_default()
            .push(record);
    }
    lanes
}

/// What these records say was sent, after a check that each is as it was, and that each publisher's key came in the order
/// it was sent, once.
fn in_order(records: impl Iterator<Item = Record>) -> BTreeSet<Sent> {
    let mut latest: BTreeMap<(Publisher, usize), Sent> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for arrived in records {
        let Some(sent) = sent(&arrived) else {
            assert_eq!(arrived.body.as_deref(), Some(MARKER));
            continue;
        };
        assert!(sent.is_whole(&arrived), "{sent:?} is not as it was");
        let key = if sent.publisher == Publisher::Kafka {
            sent.number % KEYS
        } else {
            0
        };
        let before = latest.insert((sent.publisher, key), sent);
        assert!(
            before.is_none_or(|before| before < sent),
            "{before:?} came before {sent:?}"
        );
        found.insert(sent);
    }
    found
}

fn topic(publisher: Publisher) -> &'static str {
    match publisher {
        Publisher::Mqtt => "load.mqtt",
        Publisher::Kafka => "load.kafka",
        Publisher::Amqp => "load.amqp",
    }
}

fn lanes(publisher: Publisher) -> u32 {
    if publisher == Publisher::Kafka {
        LANES
    } else {
        1
    }
}

fn marker(publisher: Publisher, lane: u32) -> Record {
    Record {
        partition: Some(lane),
        ..Record::new(topic(publisher), MARKER)
    }
}

fn record(sent: Sent) -> Record {
    let padding = "x".repeat(sent.number % 500);
    let to = topic(sent.publisher);
    let to = if sent.publisher == Publisher::Mqtt {
        to.replace('.', "/")
    } else {
        to.to_owned()
    };
    let key = (sent.publisher == Publisher::Kafka)
        .then(|| format!("key {}", sent.number % KEYS).into_bytes());
    Record {
        key,
        ..Record::new(
            to,
            format!(
                "{} {} {} {padding}",
                topic(sent.publisher),
                sent.round,
                sent.number
            ),
        )
    }
}

/// The reverse of [`record`]; `None` for a marker.
pub(crate) fn sent(record: &Record) -> Option<Sent> {
    let body = String::from_utf8(record.body.clone()?).ok()?;
    let mut words = body.split(' ');
    let name = words.next()?;
    let publisher = PUBLISHERS
        .into_iter()
        .find(|publisher| topic(*publisher) == name)?;
    Some(Sent {
        publisher,
        round: words.next()?.parse().ok()?,
        number: words.next()?.parse().ok()?,
    })
}
