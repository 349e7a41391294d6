//! Writing a message into a table of typed values with short, unique names, and reading it back.
//!
//! The table types most values itself. `fl-t` is a table from name to mark, for the others and for
//! properties of ours; `fl-dup` an array of `(position, name, value, mark)`, for what cannot stand
//! under its own name: second occurrences, long names, and these two names themselves. Tables are
//! compared without regard to order, since clients reorder them.
//!
//! ```text
//! mark = [ "p" | "h" ] [ letter ]
//! ```

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::parts::{Part, Role, Trust, assemble, base_of, parts};
use super::{Restored, Target};
use crate::{Loss, LossCode, Message, Text, Value};

/// The entries of a table, in order.
pub type Table = Vec<(Bytes, Value)>;

const TYPES: &[u8] = b"fl-t";
const DUPLICATES: &[u8] = b"fl-dup";

/// The longest name in a table.
const NAME_BYTES_MAX: usize = 255;

/// Writes the headers of a message, and the properties that `target` has no place for.
///
/// The values are of types that a table knows, but for what may be nested in lists and maps.
pub fn write_table(target: &impl Target, message: &Message) -> Table {
    let parts = parts(target, message);
    let is_plain = |part: &Part| part.role == Role::Header && nearest(&part.value).1.is_none();
    let names: BTreeSet<&Bytes> = parts.iter().map(|part| &part.name).collect();
    let are_named = names.len() == parts.len() && names.iter().all(|name| is_short(name));
    if are_named && parts.iter().all(is_plain) {
        let entry = |part: &Part| (part.name.clone(), part.value.clone());
        let table: Table = parts.iter().map(entry).collect();
        if !would_be_believed(target, message, &table) {
            return table;
        }
    }
    with_sidecar(parts)
}

fn with_sidecar(parts: Vec<Part>) -> Table {
    let mut table = Table::new();
    let mut types = Table::new();
    let mut duplicates = Vec::new();
    let mut taken = BTreeSet::from([Bytes::from_static(TYPES), Bytes::from_static(DUPLICATES)]);
    for (position, part) in (0_i64..).zip(parts) {
        let (value, letter) = nearest(&part.value);
        let mark = mark(part.role, letter);
        if !is_short(&part.name) || !taken.insert(part.name.clone()) {
            let mark = Value::Text(mark);
            let name = Value::Bytes(part.name);
            duplicates.push(Value::List(vec![Value::I64(position), name, value, mark]));
            continue;
        }
        if !mark.is_empty() {
            types.push((part.name.clone(), Value::Text(mark)));
        }
        table.push((part.name, value));
    }
    if !duplicates.is_empty() {
        table.push((Bytes::from_static(DUPLICATES), Value::List(duplicates)));
    }
    if !types.is_empty() {
        table.push((Bytes::from_static(TYPES), Value::Map(types)));
    }
    table
}

/// Whether the publisher's own headers read like sidecars that a reader would take for ours.
fn would_be_believed(target: &impl Target, message: &Message, table: &Table) -> bool {
    has_sidecar(table) && believed(target, &base_of(target, message), table).is_some()
}

/// Reads a table into `base`, a message without headers in which everything is set that has a place
/// of its own in the target.
pub fn read_table(target: &impl Target, base: Message, table: &Table) -> Restored {
    let mut loss = Loss::NONE;
    if has_sidecar(table) {
        if let Some(message) = believed(target, &base, table) {
            return Restored { message, loss };
        }
        loss.add(LossCode::HdrType);
    }
    let entries = table.iter().cloned();
    let parts = entries.map(|(name, value)| Part {
        name,
        value,
        role: Role::Header,
    });
    // A plain reading fails only on marks, and there are none, or on values nested too deep, which
    // whoever decoded the table has refused.
    let message = assemble(target, &base, parts, Trust::Stranger).unwrap_or(base);
    Restored { message, loss }
}

/// What a table says whose sidecars we could have written.
fn believed(target: &impl Target, base: &Message, table: &Table) -> Option<Message> {
    let parts = read_marked(table)?;
    let said = assemble(target, base, parts.clone(), Trust::Ourselves)?;
    if sorted(&write_table(target, &said)) != sorted(table) {
        return None;
    }
    assemble(target, base, parts, Trust::Stranger)
}

fn has_sidecar(table: &Table) -> bool {
    table.iter().any(|(name, _)| is_sidecar(name))
}

fn is_sidecar(name: &[u8]) -> bool {
    name == TYPES || name == DUPLICATES
}

fn is_short(name: &[u8]) -> bool {
    name.len() <= NAME_BYTES_MAX
}

/// The entries by name, and so those of `fl-t`.
fn sorted(table: &Table) -> BTreeMap<&Bytes, Vec<Value>> {
    let mut by_name: BTreeMap<&Bytes, Vec<Value>> = BTreeMap::new();
    for (name, value) in table {
        let mut value = value.clone();
        if let Value::Map(types) = &mut value
            && name == TYPES
        {
            types.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        by_name.entry(name).or_default().push(value);
    }
    by_name
}

/// The entries in the order of the message, as their marks say.
fn read_marked(table: &Table) -> Option<Vec<Part>> {
    let mut types: &[(Bytes, Value)] = &[];
    let mut duplicates: &[Value] = &[];
    for (name, value) in table.iter().filter(|(name, _)| is_sidecar(name)) {
        match (&**name, value) {
            (TYPES, Value::Map(said)) => types = said,
            (DUPLICATES, Value::List(said)) => duplicates = said,
            _ => return None,
        }
    }
    let marks: BTreeMap<&Bytes, &Value> = types.iter().map(|(name, mark)| (name, mark)).collect();
    let mut inline = table.iter().filter(|(name, _)| !is_sidecar(name));
    let mut duplicates = duplicates.iter().map(positioned).peekable();
    let mut parts = Vec::with_capacity(table.len());
    loop {
        let here = |duplicate: &Option<(usize, Part)>| match duplicate {
            Some((position, _)) => *position == parts.len(),
            None => true,
        };
        if let Some(duplicate) = duplicates.next_if(here) {
            parts.push(duplicate?.1);
        } else if let Some((name, value)) = inline.next() {
            let mark = marks.get(name).copied();
            parts.push(part(name.clone(), value, mark)?);
        } else {
            return duplicates.next().is_none().then_some(parts);
        }
    }
}

fn positioned(duplicate: &Value) -> Option<(usize, Part)> {
    let Value::List(fields) = duplicate else {
        return None;
    };
    let [Value::I64(position), Value::Bytes(name), value, mark] = fields.as_slice() else {
        return None;
    };
    let position = usize::try_from(*position).ok()?;
    Some((position, part(name.clone(), value, Some(mark))?))
}

fn part(name: Bytes, value: &Value, mark: Option<&Value>) -> Option<Part> {
    let mark = match mark {
        None => "",
        Some(Value::Text(mark)) => mark,
        Some(_) => return None,
    };
    let (role, letter) = match (mark.strip_prefix('p'), mark.strip_prefix('h')) {
        (Some(letter), _) => (Role::Property, letter),
        (_, Some(letter)) => (Role::OnlyHeader, letter),
        _ => (Role::Header, mark),
    };
    let mut letters = letter.chars();
    let value = match (letters.next(), letters.next(), value) {
        (None, ..) => value.clone(),
        (Some('m'), None, Value::I64(ms)) => Value::TimeMillis(*ms),
        (Some(letter), None, Value::Text(text)) => Value::from_text(letter, text.as_bytes())?,
        _ => return None,
    };
    Some(Part { name, value, role })
}

fn mark(role: Role, letter: Option<char>) -> Text {
    let role = match role {
        Role::Header => "",
        Role::OnlyHeader => "h",
        Role::Property => "p",
    };
    role.chars().chain(letter).collect::<String>().into()
}

/// The value as a table can type it, and the letter of what it was when that differs.
fn nearest(value: &Value) -> (Value, Option<char>) {
    match value {
        Value::TimeMillis(ms) => (Value::I64(*ms), Some(value.letter())),
        Value::U64(_) | Value::Uuid(_) | Value::Symbol(_) => {
            let text = Value::from_untyped(value.to_text());
            (text, Some(value.letter()))
        }
        Value::Null
        | Value::Bool(_)
        | Value::I8(_)
        | Value::U8(_)
        | Value::I16(_)
        | Value::U16(_)
        | Value::I32(_)
        | Value::U32(_)
        | Value::I64(_)
        | Value::F32(_)
        | Value::F64(_)
        | Value::Decimal { .. }
        | Value::TimeSeconds(_)
        | Value::Text(_)
        | Value::RawText(_)
        | Value::Bytes(_)
        | Value::List(_)
        | Value::Map(_) => (value.clone(), None),
    }
}
