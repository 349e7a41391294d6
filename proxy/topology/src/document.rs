//! How definitions are kept: one document per stream, realm, binding and directory entry.
//!
//! A value is one version byte and a postcard encoding of that version's record.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{
    Class, EntityId, Headers, Kind, Origin, Overflow, Part, Pattern, RealmId, SizeLimits, Text,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use self::settings::SettingsRecord;
use crate::{
    Applied, Binding, Destination, Family, HeaderMatch, Lifetime, Match, Realm, Rule, Stream,
    StreamKey, Topology,
};

mod settings;

/// A kept definition that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a kept definition cannot be read: {what}")]
pub struct DocumentError {
    /// What is wrong with it.
    pub what: &'static str,
}

const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
enum Record {
    Stream(StreamRecord),
    Realm(RealmRecord),
    Binding(BindingRecord),
    Entry(String, Vec<u8>, Vec<u8>),
    /// A stream that was told more than its limits.
    Configured(StreamRecord, SettingsRecord),
    /// A realm, and the one that gets what no binding takes.
    Alternated(RealmRecord, String),
}

#[derive(Serialize, Deserialize)]
struct StreamRecord {
    family: u8,
    name: String,
    kind: u8,
    class: u8,
    lanes: Vec<u64>,
    /// 0 for ever, 1 last consumer, 2 unused; connections' own streams are not kept.
    lifetime: (u8, u64),
    count_max: Option<u64>,
    bytes_max: Option<u64>,
    overflow: u8,
    origin: u8,
    created_at: u64,
    document: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct RealmRecord {
    id: u64,
    name: String,
    rule: u8,
    origin: u8,
    document: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct BindingRecord {
    from: u64,
    on: MatchRecord,
    to: DestinationRecord,
    no_local: bool,
    document: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
enum MatchRecord {
    Pattern {
        realm: u64,
        parts: Vec<PartRecord>,
        hides_dollar: bool,
    },
    Headers {
        wants_all: bool,
        wanted: Vec<u8>,
    },
}

#[derive(Serialize, Deserialize)]
enum PartRecord {
    Literal(Vec<u8>),
    One,
    Many,
}

#[derive(Serialize, Deserialize)]
enum DestinationRecord {
    Stream(u8, String),
    Realm(u64),
}

/// The document of a step: its key, and its value or `None` to delete it. `None` for a step that
/// concerns nothing durable (`is_durable` tells for destinations of bindings).
pub fn encode(
    step: &Applied,
    topology: &Topology,
) -> Result<Option<(Bytes, Option<Bytes>)>, DocumentError> {
    let (record, is_kept) = match step {
        Applied::Stream(stream) | Applied::Altered { new: stream, .. } if stream.is_durable() => {
            (record_of(stream), true)
        }
        Applied::StreamGone(stream) | Applied::Altered { old: stream, .. }
            if stream.is_durable() =>
        {
            (record_of(stream), false)
        }
        Applied::Realm(realm) if realm.is_durable => (realm_record(realm), true),
        Applied::RealmGone(realm) if realm.is_durable => (realm_record(realm), false),
        Applied::Bound(binding) if is_kept(binding, topology) => {
            (Record::Binding(binding_record(binding)), true)
        }
        Applied::Unbound(binding) if leads_to_passing(binding, topology) => return Ok(None),
        // Whether its ends were durable can no longer be told; deleting what is absent is harmless.
        Applied::Unbound(binding) => (Record::Binding(binding_record(binding)), false),
        Applied::Entry {
            namespace,
            key,
            new,
            ..
        } => {
            let value = new.as_ref().map(|value| value.to_vec());
            let is_kept = value.is_some();
            let name = namespace.to_string();
            (
                Record::Entry(name, key.to_vec(), value.unwrap_or_default()),
                is_kept,
            )
        }
        Applied::Stream(_)
        | Applied::Altered { .. }
        | Applied::StreamGone(_)
        | Applied::Realm(_)
        | Applied::RealmGone(_)
        | Applied::Bound(_) => return Ok(None),
    };
    let key = encode_key(&record_key(&record)?);
    let value = if is_kept {
        Some(encode_record(&record)?)
    } else {
        None
    };
    Ok(Some((key, value)))
}

/// Puts a kept definition back. Bindings come last: their ends must be there.
pub fn decode(value: &[u8], topology: &mut Topology) -> Result<(), DocumentError> {
    match decode_record(value)? {
        Record::Stream(record) => topology.restore_stream(stream(record, None)?),
        Record::Configured(record, settings) => {
            topology.restore_stream(stream(record, Some(settings))?);
        }
        Record::Realm(record) => topology.restore_realm(realm(record, None)?),
        Record::Alternated(record, to) => topology.restore_realm(realm(record, Some(to))?),
        Record::Binding(record) => topology.restore_binding(binding(record)?),
        Record::Entry(namespace, key, value) => {
            topology.restore_entry(Text::from(namespace), key.into(), value.into());
        }
    }
    Ok(())
}

/// The stream that a kept definition makes; `None` when it makes something else.
pub fn decode_stream(value: &[u8]) -> Result<Option<Stream>, DocumentError> {
    match decode_record(value)? {
        Record::Stream(record) => stream(record, None).map(Some),
        Record::Configured(record, settings) => stream(record, Some(settings)).map(Some),
        Record::Realm(_) | Record::Alternated(..) | Record::Binding(_) | Record::Entry(..) => {
            Ok(None)
        }
    }
}

fn decode_record(value: &[u8]) -> Result<Record, DocumentError> {
    let Some((&VERSION, rest)) = value.split_first() else {
        return Err(DocumentError {
            what: "unknown version",
        });
    };
    postcard::from_bytes(rest).map_err(|_cause| DocumentError {
        what: "damaged record",
    })
}

/// The document key for the identity of a definition: short identities stand as they are, long
/// ones are cut and end in a hash, so that a key never exceeds 1 KiB.
pub fn encode_key(identity: &[u8]) -> Bytes {
    const PLAIN_MAX: usize = 900;
    let Some((head, rest)) = identity.split_at_checked(PLAIN_MAX) else {
        return Bytes::copy_from_slice(identity);
    };
    let mut key = head.to_vec();
    key.extend_from_slice(&Sha256::digest(rest));
    key.into()
}

fn is_kept(binding: &Binding, topology: &Topology) -> bool {
    let from = topology.realm_by_id(binding.from);
    // The fixed realms are always there, so bindings in them last as long as their destination.
    let from_lasts = from.is_some_and(|realm| realm.is_durable || realm.origin == Origin(0));
    let to_lasts = match &binding.to {
        Destination::Stream(key) => topology
            .stream(key)
            .is_some_and(|stream| stream.is_durable()),
        Destination::Realm(id) => topology
            .realm_by_id(*id)
            .is_some_and(|realm| realm.is_durable || realm.origin == Origin(0)),
    };
    from_lasts && to_lasts
}

/// Whether its destination is there and goes with a connection: a binding to it was never kept.
fn leads_to_passing(binding: &Binding, topology: &Topology) -> bool {
    let Destination::Stream(key) = &binding.to else {
        return false;
    };
    let stream = topology.stream(key);
    stream.is_some_and(|stream| !stream.is_durable() && stream.owner().is_some())
}

/// Realms sort before streams, streams before bindings: the order in which they are put back.
fn record_key(record: &Record) -> Result<Vec<u8>, DocumentError> {
    Ok(match record {
        Record::Entry(namespace, key, _) => [b"a", namespace.as_bytes(), b"\0", key].concat(),
        Record::Realm(realm) | Record::Alternated(realm, _) => {
            [b"b".as_slice(), &realm.id.to_be_bytes()].concat()
        }
        Record::Stream(stream) | Record::Configured(stream, _) => {
            [b"c", [stream.family].as_slice(), stream.name.as_bytes()].concat()
        }
        Record::Binding(_) => [b"d".as_slice(), &encode_record(record)?].concat(),
    })
}

fn encode_record(record: &Record) -> Result<Bytes, DocumentError> {
    let start = vec![VERSION];
    postcard::to_extend(record, start)
        .map(Bytes::from)
        .map_err(|_cause| DocumentError {
            what: "cannot be written",
        })
}

fn record_of(stream: &Stream) -> Record {
    let record = stream_record(stream);
    match &stream.told {
        None => Record::Stream(record),
        Some(settings) => Record::Configured(record, SettingsRecord::of(settings)),
    }
}

fn stream_record(stream: &Stream) -> StreamRecord {
    let limits = stream.limits();
    StreamRecord {
        family: stream.key.family as u8,
        name: stream.key.name.to_string(),
        kind: stream.kind as u8,
        class: stream.class as u8,
        lanes: stream.lanes.iter().map(|lane| lane.0).collect(),
        lifetime: match stream.lifetime {
            Lifetime::Forever | Lifetime::Connection(_) => (0, 0),
            Lifetime::LastConsumer => (1, 0),
            Lifetime::Unused { after_ms } => (2, after_ms),
        },
        count_max: limits.count_max,
        bytes_max: limits.bytes_max,
        overflow: limits.overflow as u8,
        origin: stream.origin.0,
        created_at: stream.created_at.0,
        document: stream.document.to_vec(),
    }
}

fn stream(record: StreamRecord, settings: Option<SettingsRecord>) -> Result<Stream, DocumentError> {
    let key = StreamKey {
        family: family(record.family)?,
        name: Text::from(record.name),
    };
    let limits = SizeLimits {
        count_max: record.count_max,
        bytes_max: record.bytes_max,
        overflow: pick(
            record.overflow,
            &[Overflow::Reject, Overflow::DropHead, Overflow::DropNew],
            |overflow| *overflow as u8,
        )?,
    };
    Ok(Stream {
        key,
        kind: pick(
            record.kind,
            &[Kind::Log, Kind::Queue, Kind::Latest],
            |kind| *kind as u8,
        )?,
        class: pick(
            record.class,
            &[Class::Memory, Class::Local, Class::Object],
            |class| *class as u8,
        )?,
        lanes: record.lanes.into_iter().map(EntityId).collect(),
        lifetime: match record.lifetime {
            (0, _) => Lifetime::Forever,
            (1, _) => Lifetime::LastConsumer,
            (2, after_ms) => Lifetime::Unused { after_ms },
            _ => {
                return Err(DocumentError {
                    what: "unknown lifetime",
                });
            }
        },
        limited: (limits != SizeLimits::default()).then(|| Arc::new(limits)),
        told: settings
            .map(|record| record.read().map(Box::new))
            .transpose()?,
        origin: Origin(record.origin),
        created_at: Timestamp(record.created_at),
        document: record.document.into(),
    })
}

fn realm_record(realm: &Realm) -> Record {
    let record = RealmRecord {
        id: realm.id.0,
        name: realm.name.to_string(),
        rule: realm.rule as u8,
        origin: realm.origin.0,
        document: realm.document.to_vec(),
    };
    match &realm.alternate {
        None => Record::Realm(record),
        Some(to) => Record::Alternated(record, to.to_string()),
    }
}

fn realm(record: RealmRecord, alternate: Option<String>) -> Result<Realm, DocumentError> {
    let rules = [Rule::Pattern, Rule::Exact, Rule::All, Rule::Headers];
    Ok(Realm {
        id: RealmId(record.id),
        name: Text::from(record.name),
        rule: pick(record.rule, &rules, |rule| *rule as u8)?,
        is_durable: true,
        alternate: alternate.map(Text::from),
        origin: Origin(record.origin),
        document: record.document.into(),
    })
}

fn binding_record(binding: &Binding) -> BindingRecord {
    BindingRecord {
        from: binding.from.0,
        on: match &binding.on {
            Match::Pattern(pattern) => MatchRecord::Pattern {
                realm: pattern.realm.0,
                parts: pattern.parts.iter().map(part_record).collect(),
                hides_dollar: pattern.hides_dollar,
            },
            Match::Headers(wanted) => MatchRecord::Headers {
                wants_all: wanted.wants_all,
                wanted: wanted.wanted.as_stored().to_vec(),
            },
        },
        to: match &binding.to {
            Destination::Stream(key) => {
                DestinationRecord::Stream(key.family as u8, key.name.to_string())
            }
            Destination::Realm(id) => DestinationRecord::Realm(id.0),
        },
        no_local: binding.no_local,
        document: binding.document.to_vec(),
    }
}

fn binding(record: BindingRecord) -> Result<Binding, DocumentError> {
    Ok(Binding {
        from: RealmId(record.from),
        on: match record.on {
            MatchRecord::Pattern {
                realm,
                parts,
                hides_dollar,
            } => Match::Pattern(Pattern {
                realm: RealmId(realm),
                parts: parts.into_iter().map(part).collect(),
                hides_dollar,
            }),
            MatchRecord::Headers { wants_all, wanted } => Match::Headers(HeaderMatch {
                wants_all,
                wanted: Headers::from_stored(wanted.into()).map_err(|_cause| DocumentError {
                    what: "damaged header list",
                })?,
            }),
        },
        to: match record.to {
            DestinationRecord::Stream(number, name) => Destination::Stream(StreamKey {
                family: family(number)?,
                name: Text::from(name),
            }),
            DestinationRecord::Realm(id) => Destination::Realm(RealmId(id)),
        },
        no_local: record.no_local,
        document: record.document.into(),
    })
}

fn part_record(part: &Part) -> PartRecord {
    match part {
        Part::Literal(segment) => PartRecord::Literal(segment.to_vec()),
        Part::One => PartRecord::One,
        Part::Many => PartRecord::Many,
    }
}

fn part(record: PartRecord) -> Part {
    match record {
        PartRecord::Literal(segment) => Part::Literal(segment.into()),
        PartRecord::One => Part::One,
        PartRecord::Many => Part::Many,
    }
}

fn family(number: u8) -> Result<Family, DocumentError> {
    let all = [Family::Log, Family::Queue, Family::Mailbox, Family::Latest];
    pick(number, &all, |family| *family as u8)
}

fn pick<T: Copy>(number: u8, all: &[T], of: impl Fn(&T) -> u8) -> Result<T, DocumentError> {
    let found = all.iter().find(|item| of(item) == number).copied();
    found.ok_or(DocumentError {
        what: "unknown number",
    })
}
