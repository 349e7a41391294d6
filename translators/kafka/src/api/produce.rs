//! Produce: batches to partitions, kept byte for byte.
//!
//! Opened by our own code: a partition's batch is a slice of the request, checked and staged. The
//! answer waits as an [`InFlight`] until the receipts have come.

use std::ops::RangeInclusive;

use bytes::Bytes;
use fairlead_canon::codec::records;
use fairlead_canon::{Batch, Damage, Key, Promise, Text, Timestamp};
use fairlead_kernel::{BoxFuture, Caller, Content, Pending, Publish, To, compaction_key};
use kafka_protocol::messages::ApiKey;

use super::{Api, Call};
use crate::answer::Reply;
use crate::config::Rules;
use crate::desk::Desk;
use crate::errors::{self, Refusal};
use crate::fault::Fault;
use crate::fields::Fields;
use crate::in_flight::{InFlight, Part, State};
use crate::topics::{self, Topic};

#[derive(Debug)]
pub(super) struct Produce;

impl Api for Produce {
    fn key(&self) -> ApiKey {
        ApiKey::Produce
    }

    fn versions(&self) -> RangeInclusive<i16> {
        3..=11
    }

    fn compact_since(&self) -> i16 {
        9
    }

    fn is_pipelined(&self) -> bool {
        true
    }

    fn serve<'a>(&'a self, desk: &'a mut Desk, call: Call) -> BoxFuture<'a, Result<Reply, Fault>> {
        Box::pin(std::future::ready(stage(desk, &call)))
    }
}

/// What stands in front of the topics.
struct Terms {
    /// `None` for a number of acknowledgements that does not exist.
    promise: Option<Promise>,
    is_transactional: bool,
}

fn stage(desk: &mut Desk, call: &Call) -> Result<Reply, Fault> {
    let mut fields = Fields::new(&call.body, call.form);
    let terms = Terms {
        is_transactional: fields.text("transactional id")?.is_some(),
        promise: match fields.i16("acks")? {
            0 => Some(Promise::Nothing),
            1 | -1 => Some(Promise::Durable),
            _ => None,
        },
    };
    fields.i32("timeout ms")?;
    let mut topics = Vec::new();
    for _ in 0..fields.count("topics")? {
        topics.push(stage_topic(desk, &terms, &mut fields)?);
    }
    fields.tags()?;
    let in_flight = InFlight::new(call, topics);
    if terms.promise != Some(Promise::Nothing) {
        return Ok(Reply::Later(in_flight));
    }
    match in_flight.refusal() {
        None => Ok(Reply::Silent),
        Some(refusal) => Err(Fault::Unheard(refusal.why.clone())),
    }
}

fn stage_topic(
    desk: &mut Desk,
    terms: &Terms,
    fields: &mut Fields<'_>,
) -> Result<(Text, Vec<Part>), Fault> {
    let name = fields.text("topic name")?.unwrap_or_default();
    let topic = desk.topics.get(&name).map_err(|error| Refusal::of(&error));
    let stream = topics::find(desk.caller()?, &name);
    let rules = stream.map(|stream| desk.topics.rules(&stream));
    let now = desk.kernel.clock().wall();
    let shows_arrival = rules.is_some_and(|rules| rules.shows_arrival);
    let arrived = shows_arrival.then_some(now);
    let caller = desk.caller()?;
    let mut parts = Vec::new();
    for _ in 0..fields.count("partitions")? {
        let index = fields.i32("partition index")?;
        let bytes = fields.blob("records")?.unwrap_or_default();
        fields.tags()?;
        let staged = match (&topic, &rules) {
            (Err(refusal), _) => Err(refusal.clone()),
            (Ok(_), None) => {
                let why = "there is no such topic";
                Err(Refusal::new(errors::UNKNOWN_TOPIC_OR_PARTITION, why))
            }
            (Ok(topic), Some(rules)) => accept(bytes, rules, now)
                .and_then(|batch| publish(caller, terms, topic, (index, batch))),
        };
        let state = staged.map_or_else(State::Refused, State::Awaiting);
        parts.push(Part {
            index,
            state,
            arrived,
        });
    }
    fields.tags()?;
    Ok((name, parts))
}

/// Checks a batch by the rules of its topic, and gives it what they say it has to have.
fn accept(bytes: Bytes, rules: &Rules, now: Timestamp) -> Result<Batch, Refusal> {
    let damaged = |damage: Damage| Refusal::new(errors::CORRUPT_MESSAGE, damage.to_string());
    if bytes.len() > rules.batch_bytes_max {
        let why = format!(
            "a batch of {} bytes, at most {}",
            bytes.len(),
            rules.batch_bytes_max
        );
        return Err(Refusal::new(errors::MESSAGE_TOO_LARGE, why));
    }
    let mut batch = records::accept(bytes).map_err(damaged)?;
    if rules.is_compacted {
        batch.keys = keys(&batch.bytes).map_err(damaged)?;
        if batch.keys.iter().any(|key| key.key.is_none()) {
            let why = "a compacted topic takes no record without a key";
            return Err(Refusal::new(errors::INVALID_RECORD, why));
        }
    }
    Ok(match rules.shows_arrival {
        true => records::arrived(batch, now),
        false => batch,
    })
}

/// The key of each record, in short.
fn keys(batch: &Bytes) -> Result<Vec<Key>, Damage> {
    let records = records::read(batch)?;
    let key = |record: records::Record| Key {
        key: record.key.map(|key| compaction_key(&key)),
        has_value: record.value.is_some(),
    };
    Ok(records.into_iter().map(key).collect())
}

fn publish(
    caller: &mut Caller,
    terms: &Terms,
    topic: &Topic,
    (index, batch): (i32, Batch),
) -> Result<Pending, Refusal> {
    let refuse = |code, why: &str| Err(Refusal::new(code, why));
    let Some(promise) = terms.promise else {
        return refuse(errors::INVALID_REQUIRED_ACKS, "acks is 0, 1 or -1");
    };
    let Ok(lane) = u32::try_from(index) else {
        return refuse(errors::UNKNOWN_TOPIC_OR_PARTITION, "a negative partition");
    };
    if batch.flags.control {
        return refuse(errors::INVALID_RECORD, "markers are ours to write");
    }
    if batch.flags.transactional && !terms.is_transactional {
        return refuse(
            errors::INVALID_RECORD,
            "a transactional batch without an id",
        );
    }
    let publish = Publish {
        to: To::Lane {
            stream: &topic.key,
            lane,
            address: topic.address.as_ref(),
        },
        content: Content::Batch(batch),
        promise,
        with: Vec::new(),
        own_mailbox: None,
    };
    caller.publish(publish).map_err(|error| {
        caller.meters().failed(&error);
        errors::of_produce(&error)
    })
}
