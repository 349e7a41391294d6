//! Fetch: batches of partitions, as they were stored, waiting for more if there are too few.
//!
//! Opened and written by our own code. Fetch sessions are declined: the answer's session is always
//! 0, and clients then name all their partitions each time.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{Damage, Offset, Text};
use fairlead_kernel::{Aborted, BoxFuture, Caller, Error, FetchAt, FetchLimits, Fetched, View};
use kafka_protocol::messages::ApiKey;

use super::{Api, Call};
use crate::answer::{Answer, Reply};
use crate::desk::Desk;
use crate::errors::{self, Code};
use crate::fault::Fault;
use crate::fields::{Fields, Out};
use crate::records::{self, Shown};
use crate::topics::{self, Topic};

#[derive(Debug)]
pub(super) struct Fetch;

/// Most bytes of one answer, but for a first batch that is larger: what a slow reader makes us hold.
const BYTES_MAX: u32 = 4 * 1024 * 1024;

/// Shows nothing of a transaction before its end.
const READ_COMMITTED: i8 = 1;

/// The longest wait for data: longer than clients ask for (0.5 s), shorter than they give up.
const WAIT_MS_MAX: u64 = 60_000;

impl Api for Fetch {
    fn key(&self) -> ApiKey {
        ApiKey::Fetch
    }

    fn versions(&self) -> RangeInclusive<i16> {
        4..=12
    }

    fn compact_since(&self) -> i16 {
        12
    }

    fn serve<'a>(&'a self, desk: &'a mut Desk, call: Call) -> BoxFuture<'a, Result<Reply, Fault>> {
        Box::pin(async move {
            let request = read(&call)?;
            if request.session_id != 0 {
                let code = errors::FETCH_SESSION_ID_NOT_FOUND;
                return Ok(Reply::Answer(Writer::new(&call, code, 0).finish()));
            }
            let aims = aim(desk, request.topics)?;
            let caller = desk.caller()?;
            let fetched = fetch(caller, &aims, request.limits).await;
            Ok(Reply::Answer(answer(
                caller,
                &call,
                aims,
                (request.limits.view, fetched),
            )))
        })
    }
}

struct Request {
    limits: FetchLimits,
    session_id: i32,
    topics: Vec<(Text, Vec<Asked>)>,
}

/// A partition, as it is asked for.
struct Asked {
    partition: i32,
    from: i64,
    bytes_max: i32,
}

fn read(call: &Call) -> Result<Request, Fault> {
    let version = call.version;
    let mut fields = Fields::new(&call.body, call.form);
    fields.i32("replica id")?;
    let wait_ms = u64::try_from(fields.i32("max wait ms")?).unwrap_or(0);
    let bytes_min = u32::try_from(fields.i32("min bytes")?).unwrap_or(0);
    let bytes_max = u32::try_from(fields.i32("max bytes")?).unwrap_or(0);
    let view = match fields.i8("isolation level")? {
        READ_COMMITTED => View::Committed,
        _ => View::All,
    };
    let mut session_id = 0;
    if version >= 7 {
        session_id = fields.i32("session id")?;
        fields.i32("session epoch")?;
    }
    let mut topics = Vec::new();
    for _ in 0..fields.count("topics")? {
        topics.push(read_topic(version, &mut fields)?);
    }
    if version >= 7 {
        for _ in 0..fields.count("forgotten topics")? {
            fields.text("forgotten topic")?;
            for _ in 0..fields.count("forgotten partitions")? {
                fields.i32("forgotten partition")?;
            }
            fields.tags()?;
        }
    }
    if version >= 11 {
        fields.text("rack id")?;
    }
    fields.tags()?;
    let bytes_max = bytes_max.min(BYTES_MAX);
    let limits = FetchLimits {
        bytes_min: bytes_min.min(bytes_max),
        bytes_max,
        wait_max: Duration::from_millis(wait_ms.min(WAIT_MS_MAX)),
        view,
    };
    Ok(Request {
        limits,
        session_id,
        topics,
    })
}

fn read_topic(version: i16, fields: &mut Fields<'_>) -> Result<(Text, Vec<Asked>), Fault> {
    let name = fields.text("topic name")?.unwrap_or_default();
    let mut asked = Vec::new();
    for _ in 0..fields.count("partitions")? {
        let partition = fields.i32("partition")?;
        if version >= 9 {
            fields.i32("current leader epoch")?;
        }
        let from = fields.i64("fetch offset")?;
        if version >= 12 {
            fields.i32("last fetched epoch")?;
        }
        if version >= 5 {
            fields.i64("log start offset")?;
        }
        let bytes_max = fields.i32("partition max bytes")?;
        fields.tags()?;
        asked.push(Asked {
            partition,
            from,
            bytes_max,
        });
    }
    fields.tags()?;
    Ok((name, asked))
}

/// A topic, and what is known of each partition before anything is read.
struct Aim {
    name: Text,
    topic: Option<Arc<Topic>>,
    parts: Vec<(i32, Result<FetchAt, Code>)>,
}

fn aim(desk: &mut Desk, asked: Vec<(Text, Vec<Asked>)>) -> Result<Vec<Aim>, Fault> {
    let mut aims = Vec::with_capacity(asked.len());
    for (name, parts) in asked {
        let topic = desk.topics.get(&name).ok();
        let stream = topics::find(desk.caller()?, &name);
        let parts = parts.into_iter().map(|part| {
            let entity = stream
                .as_ref()
                .and_then(|stream| topics::lane(stream, part.partition));
            let at = match (entity, u64::try_from(part.from)) {
                (None, _) => Err(errors::UNKNOWN_TOPIC_OR_PARTITION),
                (_, Err(_)) => Err(errors::OFFSET_OUT_OF_RANGE),
                (Some(entity), Ok(from)) => Ok(FetchAt {
                    entity,
                    from: Offset(from),
                    bytes_max: u32::try_from(part.bytes_max).unwrap_or(0),
                }),
            };
            (part.partition, at)
        });
        aims.push(Aim {
            name,
            topic,
            parts: parts.collect(),
        });
    }
    Ok(aims)
}

async fn fetch(caller: &Caller, aims: &[Aim], limits: FetchLimits) -> Vec<Fetched> {
    let parts = aims.iter().flat_map(|aim| &aim.parts);
    let has_error = parts.clone().any(|(_, at)| at.is_err());
    let at = parts.filter_map(|(_, at)| at.ok()).collect();
    // Somebody who has to hear of an error does not wait for data.
    let wait_max = if has_error {
        Duration::ZERO
    } else {
        limits.wait_max
    };
    caller.fetch(at, FetchLimits { wait_max, ..limits }).await
}

fn answer(
    caller: &Caller,
    call: &Call,
    aims: Vec<Aim>,
    (view, fetched): (View, Vec<Fetched>),
) -> Answer {
    let mut writer = Writer::new(call, errors::NONE, aims.len());
    // One answer per entity asked for, in the same order.
    let mut fetched = fetched.into_iter();
    for aim in aims {
        writer.begin_topic(&aim.name, aim.parts.len());
        for (partition, at) in aim.parts {
            let found = at.and_then(|_| {
                let result = fetched
                    .next()
                    .ok_or(errors::UNKNOWN_TOPIC_OR_PARTITION)?
                    .result;
                let topic = aim
                    .topic
                    .as_ref()
                    .ok_or(errors::UNKNOWN_TOPIC_OR_PARTITION)?;
                show(caller, topic, view, result)
            });
            writer.partition(partition, found);
        }
        writer.end_record();
    }
    writer.finish()
}

/// Where a partition stands, and what it shows.
struct Found {
    start: i64,
    end: i64,
    stable: i64,
    /// Transactions to pass over; `None` when the reader did not ask.
    aborted: Option<Vec<Aborted>>,
    shown: Shown,
}

fn show(
    caller: &Caller,
    topic: &Topic,
    view: View,
    result: Result<fairlead_kernel::Chunk, Error>,
) -> Result<Found, Code> {
    let chunk = result.map_err(|error| {
        caller.meters().failed(&error);
        errors::of_topic(error.reason)
    })?;
    let shown = records::show(&chunk.batches, &topic.place).map_err(|damage: Damage| {
        let error = Error::from(damage);
        tracing::error!(topic = %topic.key.name, %error, "a stored batch cannot be read");
        caller.meters().failed(&error);
        errors::of_topic(error.reason)
    })?;
    shown
        .losses
        .iter()
        .for_each(|(from, loss)| caller.meters().lost(*from, *loss));
    let signed = |offset: Offset| i64::try_from(offset.0).unwrap_or(i64::MAX);
    Ok(Found {
        start: signed(chunk.marks.start),
        end: signed(chunk.marks.end),
        stable: signed(chunk.marks.stable),
        aborted: (view == View::Committed).then_some(chunk.aborted),
        shown,
    })
}

/// Writes the answer: fields into a buffer, stored slices between them.
struct Writer {
    version: i16,
    out: Out,
    pieces: Vec<Bytes>,
}

impl Writer {
    fn new(call: &Call, code: Code, topics: usize) -> Self {
        let mut out = Out::new(call.form);
        out.i32(call.correlation);
        out.tags();
        out.i32(0); // throttle time
        if call.version >= 7 {
            out.i16(code);
            out.i32(0); // no session
        }
        out.count(topics);
        Self {
            version: call.version,
            out,
            pieces: Vec::new(),
        }
    }

    fn begin_topic(&mut self, name: &str, parts: usize) {
        self.out.text(Some(name));
        self.out.count(parts);
    }

    fn end_record(&mut self) {
        self.out.tags();
    }

    fn partition(&mut self, index: i32, found: Result<Found, Code>) {
        let (code, found) = match found {
            Ok(found) => (errors::NONE, found),
            Err(code) => (
                code,
                Found {
                    start: -1,
                    end: -1,
                    stable: -1,
                    aborted: None,
                    shown: Shown::default(),
                },
            ),
        };
        let out = &mut self.out;
        out.i32(index);
        out.i16(code);
        out.i64(found.end); // high watermark
        out.i64(found.stable);
        if self.version >= 5 {
            out.i64(found.start);
        }
        out.list(found.aborted.as_deref(), |out, aborted| {
            out.i64(aborted.producer.0);
            out.i64(i64::try_from(aborted.first.0).unwrap_or(i64::MAX));
            out.tags();
        });
        if self.version >= 11 {
            out.i32(-1); // no other replica to read from
        }
        out.count(found.shown.size);
        self.pieces.push(out.take());
        self.pieces.extend(found.shown.pieces);
        self.end_record();
    }

    fn finish(mut self) -> Answer {
        self.end_record();
        self.pieces.push(self.out.take());
        Answer::of(self.pieces)
    }
}
