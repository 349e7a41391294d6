//! Codec 1: our compact form of a message. Integers are little-endian.
//!
//! | at | size | field | at | size | field |
//! |---|---|---|---|---|---|
//! | 0 | 4 | length of the whole | 28 | 8 | event time, in the unit its flag says |
//! | 4 | 1 | version, 1 | 36 | 8 | accepted, ms |
//! | 5 | 1 | origin; 0 nobody | 44 | 8 | deadline, ms |
//! | 6 | 1 | flags | 52 | … | realm u64, path |
//! | 7 | 1 | priority | … | … | key |
//! | 8 | 4 | length of realm and path | … | … | properties |
//! | 12 | 4 | length of the key; all ones: none | … | … | headers |
//! | 16 | 4 | length of the properties | … | … | home: revision u8, bytes |
//! | 20 | 4 | length of the headers | … | … | body, to the end |
//! | 24 | 4 | length of home | | | |

use bytes::{BufMut, Bytes, BytesMut};

use super::reader::Reader;
use super::writer::length32;
use super::{Damage, Opened};
use crate::properties::stored;
use crate::{
    Address, Batch, BatchFlags, Codec, EventTime, Headers, Home, Loss, Message, Origin, Path,
    Promise, RealmId, Terms, Timestamp,
};

const VERSION: u8 = 1;
const HEAD: usize = 52;
const NO_KEY: u32 = u32::MAX;

const NULL_BODY: u8 = 1;
const LATEST: u8 = 2;
const EVENT_SECONDS: u8 = 4;
const EVENT_MILLIS: u8 = 8;
const PRIORITY: u8 = 16;
const PROMISE_SHIFT: u8 = 5;
const PROMISE_MASK: u8 = 0b11;
const DEADLINE: u8 = 128;

/// Writes `message` as a batch of one. The body is copied once.
pub fn seal(message: &Message) -> Batch {
    Batch {
        codec: Codec::Envelope,
        bytes: write(message),
        count: 1,
        span: 1,
        time: message.terms.accepted_at,
        deadline: message.terms.deadline,
        stamp: None,
        flags: BatchFlags::default(),
        keys: Vec::new(),
    }
}

/// Reads the messages of an envelope batch without copying bodies.
pub fn open(batch: &Batch) -> Result<Vec<Opened>, Damage> {
    let mut reader = Reader::new(batch.bytes.clone(), 0);
    let mut opened = Vec::with_capacity(1);
    for delta in 0..batch.count {
        opened.push(Opened {
            delta,
            message: read(&mut reader)?,
            loss: Loss::NONE,
        });
    }
    if reader.is_empty() {
        Ok(opened)
    } else {
        Err(reader.damage("bytes after the last envelope"))
    }
}

/// Reads a single envelope; the message's parts are slices of it.
pub fn open_one(envelope: Bytes) -> Result<Message, Damage> {
    let mut reader = Reader::new(envelope, 0);
    let message = read(&mut reader)?;
    match reader.is_empty() {
        true => Ok(message),
        false => Err(reader.damage("bytes after the envelope")),
    }
}

/// Bytes of the bodies of an envelope batch, from the lengths in its heads; `None` when they do not
/// add up.
pub(super) fn bodies_len(batch: &Batch) -> Option<usize> {
    let mut rest = &*batch.bytes;
    let mut bodies = 0_usize;
    while !rest.is_empty() {
        let number = |at: usize| {
            let bytes = rest.get(at..)?.first_chunk::<4>()?;
            usize::try_from(u32::from_le_bytes(*bytes)).ok()
        };
        let key = number(12)?;
        let key = if key == NO_KEY as usize { 0 } else { key };
        let known = [HEAD, number(8)?, key, number(16)?, number(20)?, number(24)?];
        let known = known.into_iter().try_fold(0, usize::checked_add)?;
        let whole = number(0)?;
        bodies = bodies.checked_add(whole.checked_sub(known)?)?;
        rest = rest.get(whole..)?;
    }
    Some(bodies)
}

/// Lengths of the parts between head and body.
struct Lengths {
    address: u32,
    key: Option<u32>,
    properties: u32,
    headers: u32,
    home: u32,
}

fn write(message: &Message) -> Bytes {
    let address = 8 + message.address.path.as_stored().len();
    let key = message.key.as_ref().map(Bytes::len);
    let headers = message.headers.as_stored();
    let home = message.home.as_ref().map_or(0, |home| 1 + home.bytes.len());
    let known = HEAD + address + key.unwrap_or(0) + headers.len() + home + message.body_len();
    let spare = if message.properties.is_some() { 256 } else { 0 };

    let mut out = BytesMut::with_capacity(known + spare);
    out.put_slice(&[0; HEAD + 8]);
    out.put_slice(message.address.path.as_stored());
    if let Some(key) = &message.key {
        out.put_slice(key);
    }
    let before = out.len();
    if let Some(properties) = &message.properties {
        stored::write(properties, &mut out);
    }
    let lengths = Lengths {
        address: length32(address),
        key: key.map(length32),
        properties: length32(out.len() - before),
        headers: length32(headers.len()),
        home: length32(home),
    };
    if !headers.is_empty() {
        out.put_slice(headers);
    }
    if let Some(home) = &message.home {
        out.put_u8(home.revision);
        out.put_slice(&home.bytes);
    }
    if let Some(body) = &message.body {
        out.put_slice(body);
    }

    let whole = length32(out.len());
    let mut head: &mut [u8] = out.as_mut();
    head.put_u32_le(whole);
    write_head(message, &lengths, &mut head);
    head.put_u64_le(message.address.realm.0);
    out.freeze()
}

/// Writes all of the head but the length of the whole.
fn write_head(message: &Message, lengths: &Lengths, head: &mut &mut [u8]) {
    let terms = &message.terms;
    let (event_flag, event) = match terms.event_at {
        None => (0, 0),
        Some(EventTime::Seconds(at)) => (EVENT_SECONDS, at),
        Some(EventTime::Millis(at)) => (EVENT_MILLIS, at),
    };
    let promise = match terms.promise {
        Promise::Nothing => 0,
        Promise::Accepted => 1,
        Promise::Durable => 2,
    };
    let flag = |holds: bool, flag: u8| if holds { flag } else { 0 };
    let flags = flag(message.body.is_none(), NULL_BODY)
        | flag(terms.latest, LATEST)
        | event_flag
        | flag(terms.priority.is_some(), PRIORITY)
        | (promise << PROMISE_SHIFT)
        | flag(terms.deadline.is_some(), DEADLINE);

    head.put_u8(VERSION);
    let home = message.home.as_ref();
    head.put_u8(home.map_or(message.origin, |home| home.origin).0);
    head.put_u8(flags);
    head.put_u8(terms.priority.unwrap_or(0));
    head.put_u32_le(lengths.address);
    head.put_u32_le(lengths.key.unwrap_or(NO_KEY));
    head.put_u32_le(lengths.properties);
    head.put_u32_le(lengths.headers);
    head.put_u32_le(lengths.home);
    head.put_i64_le(event);
    head.put_u64_le(terms.accepted_at.0);
    head.put_u64_le(terms.deadline.map_or(0, |deadline| deadline.0));
}

fn read(from: &mut Reader) -> Result<Message, Damage> {
    let whole = u32::from_le_bytes(from.array("envelope length")?) as usize;
    let after = whole.checked_sub(4);
    let after = after.ok_or_else(|| from.damage("envelope length"))?;
    let mut part = from.part(after, "envelope length")?;

    let [version, origin, flags, priority, rest @ ..] = part.array::<{ HEAD - 4 }>("head")?;
    if version != VERSION {
        return Err(from.damage("version"));
    }
    let origin = Origin(origin);
    let (lengths, times) = read_head(rest);
    let terms = read_terms(flags, priority, times).map_err(|what| from.damage(what))?;
    let address = read_address(lengths.address, &mut part)?;
    let key = lengths.key.map(|len| part.take(len as usize, "key"));
    let key = key.transpose()?;
    let properties = match lengths.properties {
        0 => None,
        len => {
            let properties = part.part(len as usize, "properties")?;
            Some(Box::new(stored::read(properties)?))
        }
    };
    let headers = match lengths.headers {
        0 => Headers::default(),
        len => Headers::from_stored(part.take(len as usize, "headers")?)?,
    };
    Ok(Message {
        address,
        key,
        terms,
        properties,
        headers,
        origin,
        home: read_home(origin, lengths.home, &mut part)?,
        body: match flags & NULL_BODY {
            0 => Some(part.rest()),
            _ if part.is_empty() => None,
            _ => return Err(part.damage("null body")),
        },
    })
}

/// The lengths, and the three times behind them.
fn read_head(head: [u8; HEAD - 8]) -> (Lengths, [[u8; 8]; 3]) {
    let (lengths, times) = head.split_at(20);
    let mut lengths = lengths.as_chunks::<4>().0.iter().copied();
    let mut length = || u32::from_le_bytes(lengths.next().unwrap_or_default());
    let lengths = Lengths {
        address: length(),
        key: Some(length()).filter(|len| *len != NO_KEY),
        properties: length(),
        headers: length(),
        home: length(),
    };
    let mut times = times.as_chunks::<8>().0.iter().copied();
    (lengths, [(); 3].map(|()| times.next().unwrap_or_default()))
}

/// What is wrong otherwise.
fn read_terms(flags: u8, priority: u8, times: [[u8; 8]; 3]) -> Result<Terms, &'static str> {
    let [event, accepted, deadline] = times;
    let event = i64::from_le_bytes(event);
    let [accepted, deadline] = [accepted, deadline].map(|at| Timestamp(u64::from_le_bytes(at)));
    Ok(Terms {
        accepted_at: accepted,
        event_at: match flags & (EVENT_SECONDS | EVENT_MILLIS) {
            0 => None,
            EVENT_SECONDS => Some(EventTime::Seconds(event)),
            EVENT_MILLIS => Some(EventTime::Millis(event)),
            _ => return Err("event time in two units"),
        },
        deadline: (flags & DEADLINE != 0).then_some(deadline),
        promise: match (flags >> PROMISE_SHIFT) & PROMISE_MASK {
            0 => Promise::Nothing,
            1 => Promise::Accepted,
            2 => Promise::Durable,
            _ => return Err("promise"),
        },
        priority: (flags & PRIORITY != 0).then_some(priority),
        latest: flags & LATEST != 0,
    })
}

fn read_address(len: u32, from: &mut Reader) -> Result<Address, Damage> {
    let mut part = from.part(len as usize, "address")?;
    let realm = RealmId(u64::from_le_bytes(part.array("realm")?));
    let damage = part.damage("path");
    let path = Path::from_stored(part.rest()).map_err(|_not_a_path| damage)?;
    Ok(Address::new(realm, path))
}

fn read_home(origin: Origin, len: u32, from: &mut Reader) -> Result<Option<Home>, Damage> {
    if len == 0 {
        return Ok(None);
    }
    let mut part = from.part(len as usize, "home")?;
    if origin == Origin::NOBODY {
        return Err(part.damage("home of nobody"));
    }
    Ok(Some(Home {
        origin,
        revision: part.byte("home revision")?,
        bytes: part.rest(),
    }))
}
