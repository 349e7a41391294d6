//! Headers of a message as a field table, and back (`mapping.md` section 6.3).
//!
//! The table is typed and its names are unique and short. What does not fit travels beside it: `fl-t` is a
//! table from name to flag and type code, `fl-dup` an array of `(position, name, value, mark)` for second
//! occurrences and long names. Both are absent when they would say nothing. A sidecar is believed only if
//! encoding what it says gives the same table again, so that a forged one changes nothing.
//!
//! ```text
//! mark = [p | h] [code]    p: a property of ours, not a header   h: a header that is not to be lifted
//! ```

use bytes::Bytes;
use fairlead_canon::{HeadersBuilder, Message, Text, TooDeep, Value};

use super::carried::{CARRIED, find};
use super::codes::{code_of, from_code};
use crate::codec::{ShortStr, Table, nearest};

const TYPES: &[u8] = b"fl-t";
const DUPLICATES: &[u8] = b"fl-dup";

/// Whether a table's sidecar was believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sidecar {
    /// There was none.
    Absent,
    /// It was, and is no header.
    Believed,
    /// It was not, and is a header like others.
    Foreign,
}

/// Name, value as it stands in a table, mark.
type Entry = (Bytes, Value, String);

/// The table of a message; `None` when it has no entry.
pub(super) fn encode(message: &Message) -> Option<Table> {
    let entries = entries(message);
    if entries.is_empty() {
        return None;
    }
    if is_plain(&entries) {
        let pairs = entries.into_iter().map(|(name, value, _)| (name, value));
        return Some(Table(pairs.collect()));
    }
    Some(with_sidecar(entries))
}

/// Puts the headers of a table, and the properties that they carry, into a message without headers.
pub(super) fn decode(table: &Table, message: &mut Message) -> Result<Sidecar, TooDeep> {
    let is_there = table.get(TYPES).is_some() || table.get(DUPLICATES).is_some();
    if is_there && let Some(believed) = believed(table, message) {
        *message = believed;
        return Ok(Sidecar::Believed);
    }
    let entries = table.0.iter().cloned();
    read(
        entries.map(|(name, value)| (name, value, String::new())),
        message,
    )?;
    Ok(if is_there {
        Sidecar::Foreign
    } else {
        Sidecar::Absent
    })
}

fn entries(message: &Message) -> Vec<Entry> {
    let mut entries = Vec::new();
    for row in CARRIED {
        let Some(value) = (row.get)(message) else {
            continue;
        };
        if !row.lifts || last_usable(row.name, message).as_ref() != Some(&value) {
            entries.push(entry(
                Bytes::from_static(row.name.as_bytes()),
                value,
                Some('p'),
            ));
        }
    }
    for header in &message.headers {
        let row = find(&header.name).filter(|row| row.lifts && (row.get)(message).is_none());
        let would_lie = row.is_some_and(|row| (row.set)(&mut message.clone(), &header.value));
        entries.push(entry(header.name, header.value, would_lie.then_some('h')));
    }
    entries
}

fn entry(name: Bytes, value: Value, flag: Option<char>) -> Entry {
    let mark = flag.into_iter().chain(code_of(&value)).collect();
    let written = nearest(&value).unwrap_or(value);
    (name, written, mark)
}

/// The value that a plain reading would lift from the headers.
fn last_usable(name: &str, message: &Message) -> Option<Value> {
    let row = find(name.as_bytes())?;
    let named = message.headers.iter().filter(|header| header.name == name);
    named
        .map(|header| header.value)
        .filter(|value| (row.set)(&mut message.clone(), value))
        .last()
}

/// Whether a table alone says everything.
fn is_plain(entries: &[Entry]) -> bool {
    let mut names: Vec<&Bytes> = entries.iter().map(|(name, ..)| name).collect();
    names.sort_unstable();
    let are_unique = names.windows(2).all(|pair| pair.first() != pair.last());
    are_unique
        && entries
            .iter()
            .all(|(name, _, mark)| mark.is_empty() && stands_inline(name))
}

fn stands_inline(name: &[u8]) -> bool {
    name.len() <= ShortStr::BYTES_MAX && !is_sidecar(name)
}

fn is_sidecar(name: &[u8]) -> bool {
    name == TYPES || name == DUPLICATES
}

fn with_sidecar(entries: Vec<Entry>) -> Table {
    let mut table = Table::default();
    let mut types: Vec<(Bytes, Value)> = Vec::new();
    let mut duplicates = Vec::new();
    for (position, (name, value, mark)) in (0_i64..).zip(entries) {
        let mark = Text::from(mark);
        if !stands_inline(&name) || table.get(&name).is_some() {
            let (position, name) = (Value::I64(position), Value::Bytes(name));
            duplicates.push(Value::List(vec![position, name, value, Value::Text(mark)]));
            continue;
        }
        if !mark.is_empty() {
            types.push((name.clone(), Value::Text(mark)));
        }
        table.0.push((name, value));
    }
    if !duplicates.is_empty() {
        table
            .0
            .push((Bytes::from_static(DUPLICATES), Value::List(duplicates)));
    }
    if !types.is_empty() {
        table.0.push((Bytes::from_static(TYPES), Value::Map(types)));
    }
    table
}

/// What a table with a sidecar says, if encoding that gives the table again.
fn believed(table: &Table, base: &Message) -> Option<Message> {
    let mut message = base.clone();
    read(marked(table)?.into_iter(), &mut message).ok()?;
    let again = encode(&message)?;
    (sorted(&again) == sorted(table)).then_some(message)
}

/// Clients reorder tables, so they are compared as maps.
fn sorted(table: &Table) -> Vec<(Bytes, Value)> {
    let by_name = |a: &(Bytes, Value), b: &(Bytes, Value)| a.0.cmp(&b.0);
    let mut entries = table.0.clone();
    entries.sort_by(by_name);
    for (name, value) in &mut entries {
        if let Value::Map(types) = value
            && name == TYPES
        {
            types.sort_by(by_name);
        }
    }
    entries
}

/// The entries of a table in the order of the message, with their marks.
fn marked(table: &Table) -> Option<Vec<Entry>> {
    let types = match table.get(TYPES) {
        None => &[],
        Some(Value::Map(types)) => types.as_slice(),
        Some(_) => return None,
    };
    let duplicates = match table.get(DUPLICATES) {
        None => &[],
        Some(Value::List(duplicates)) => duplicates.as_slice(),
        Some(_) => return None,
    };
    let mut entries = Vec::with_capacity(table.0.len());
    for (name, value) in table.0.iter().filter(|(name, _)| !is_sidecar(name)) {
        let mark = match types.iter().find(|(said, _)| said == name) {
            None => String::new(),
            Some((_, Value::Text(mark))) => mark.to_string(),
            Some(_) => return None,
        };
        entries.push((name.clone(), value.clone(), mark));
    }
    for duplicate in duplicates {
        let (position, entry) = positioned(duplicate)?;
        if position > entries.len() {
            return None;
        }
        entries.insert(position, entry);
    }
    Some(entries)
}

fn positioned(duplicate: &Value) -> Option<(usize, Entry)> {
    let Value::List(fields) = duplicate else {
        return None;
    };
    let [
        Value::I64(position),
        Value::Bytes(name),
        value,
        Value::Text(mark),
    ] = fields.as_slice()
    else {
        return None;
    };
    let entry = (name.clone(), value.clone(), mark.to_string());
    Some((usize::try_from(*position).ok()?, entry))
}

/// Reads entries into a message: properties of ours first, then headers, and of those of a carried name
/// the last usable one is lifted. An entry whose mark does not fit is left out, which the comparison in
/// [`believed`] notices.
fn read(entries: impl Iterator<Item = Entry>, message: &mut Message) -> Result<(), TooDeep> {
    let mut headers = HeadersBuilder::default();
    let mut lifted: Vec<(&'static str, Value)> = Vec::new();
    let mut explicit: Vec<&'static str> = Vec::new();
    for (name, value, mark) in entries {
        let flag = mark.chars().next().filter(|flag| matches!(flag, 'p' | 'h'));
        let code = flag
            .map_or(Some(&*mark), |_| mark.get(1..))
            .unwrap_or_default();
        let Some(value) = from_code(code, value) else {
            continue;
        };
        let row = find(&name);
        if flag == Some('p') {
            if let Some(row) = row.filter(|row| (row.set)(message, &value)) {
                explicit.push(row.name);
            }
            continue;
        }
        headers.push(&name, &value);
        if let Some(row) = row.filter(|row| row.lifts && flag.is_none()) {
            lifted.push((row.name, value));
        }
    }
    message.headers = headers.build()?;
    for row in CARRIED.iter().filter(|row| !explicit.contains(&row.name)) {
        let latest_first = lifted.iter().rev().filter(|(name, _)| *name == row.name);
        for (_, value) in latest_first {
            if (row.set)(message, value) {
                break;
            }
        }
    }
    Ok(())
}
