//! Writing a message into a list of headers, and reading it back.

use bytes::Bytes;
use smallvec::SmallVec;

use super::sidecar::{self, Mark, Role};
use super::{Field, Target, name};
use crate::{Header, Headers, HeadersBuilder, Loss, LossCode, Message, Value};

/// One header of a list: its name and its value, which may be null where the list knows that.
pub type Entry = (Bytes, Option<Bytes>);

/// A message as a list of headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// The headers, in order.
    pub entries: Vec<Entry>,
    /// What they could not carry.
    pub loss: Loss,
}

/// A list of headers as a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The message that was given, with headers and carried properties.
    pub message: Message,
    /// `HDR_TYPE` when the list had an `fl-t` that could not be believed.
    pub loss: Loss,
}

/// Writes the headers of a message, and the properties that `target` has no place for.
pub fn write(target: &impl Target, message: &Message) -> Carried {
    let headers: SmallVec<[Header; 8]> = message.headers.iter().collect();
    let mut list = Draft::new(target);
    for field in Field::ALL.iter().copied() {
        let Some(value) = target.carried(field, message) else {
            continue;
        };
        if !lifts(target, field) || last_usable(target, field, message, &headers) != Some(&value) {
            let name = Bytes::from_static(field.name().as_bytes());
            list.push(name, &value, Role::Property);
        }
    }
    for header in &headers {
        let role = match would_lift(target, message, header) {
            true => Role::OnlyHeader,
            false => Role::Header,
        };
        list.push(header.name.clone(), &header.value, role);
    }
    list.finish(message)
}

/// Reads a list of headers into `base`, a message without headers in which everything is set that
/// has a place of its own in the target.
pub fn read(target: &impl Target, base: Message, entries: &[Entry]) -> Restored {
    let mut loss = Loss::NONE;
    if entries.is_empty() {
        return Restored {
            message: base,
            loss,
        };
    }
    if sidecar::levels(entries) > 0 {
        if let Some(message) = believed(target, &base, entries) {
            return Restored { message, loss };
        }
        loss.add(LossCode::HdrType);
    }
    // A plain reading fails only on marks, and there are none.
    let message = read_marked(target, &base, (entries, &[]), Trust::Stranger).unwrap_or(base);
    Restored { message, loss }
}

/// Whose properties are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// All of them: to see whether writing them gives the same list.
    Ourselves,
    /// Those that anyone may say; the others become headers.
    Stranger,
}

/// What a list says that ends in an `fl-t` which we could have written.
fn believed(target: &impl Target, base: &Message, entries: &[Entry]) -> Option<Message> {
    let (before, marks) = sidecar::split(entries)?;
    let said = read_marked(target, base, (before, &marks), Trust::Ourselves)?;
    if write(target, &said).entries != entries {
        return None;
    }
    read_marked(target, base, (before, &marks), Trust::Stranger)
}

fn read_marked(
    target: &impl Target,
    base: &Message,
    (entries, marks): (&[Entry], &[Mark]),
    trust: Trust,
) -> Option<Message> {
    let cells = target.cells();
    let mut headers = HeadersBuilder::default();
    let mut explicit: SmallVec<[(Field, Value); 8]> = SmallVec::new();
    let mut liftable: SmallVec<[(Field, Value); 4]> = SmallVec::new();
    let mut marks = marks.iter().peekable();
    for (position, (written, cell)) in entries.iter().enumerate() {
        let mark = marks.next_if(|mark| mark.position == position);
        let value = match mark.and_then(|mark| mark.said) {
            None => cells.plain(cell.as_ref()),
            Some(said) => cells.get(cell.as_ref(), said)?,
        };
        let name = name::decode(cells, written);
        let field = Field::named(&name);
        let role = mark.map_or(Role::Header, |mark| mark.role);
        if role == Role::Property {
            let field = field?;
            if trust == Trust::Ourselves || field.is_believed() {
                explicit.push((field, value));
                continue;
            }
        }
        headers.push(&name, &value);
        let field = field.filter(|field| role == Role::Header && lifts(target, *field));
        liftable.extend(field.map(|field| (field, value)));
    }
    let mut message = base.clone();
    message.headers = headers.build().ok()?;
    // In the order of fields, as one may need another.
    for field in Field::ALL.iter().copied() {
        let of_field = |(named, _): &&(Field, Value)| *named == field;
        let mut said = explicit.iter().filter(of_field);
        if let Some((_, value)) = said.next() {
            let has_value = target.has_place(field) && field.get(&message).is_some();
            let is_alone = said.next().is_none() && !has_value;
            (is_alone && target.restore(field, &mut message, value)).then_some(())?;
        } else {
            let latest_first = liftable.iter().rev().filter(of_field);
            for (_, value) in latest_first {
                if target.restore(field, &mut message, value) {
                    break;
                }
            }
        }
    }
    Some(message)
}

/// Whether a plain header of this field's name also means the field.
fn lifts(target: &impl Target, field: Field) -> bool {
    field.is_believed() && !target.has_place(field)
}

/// Whether a plain reading would lift this header into a field that the message does not have.
fn would_lift(target: &impl Target, message: &Message, header: &Header) -> bool {
    Field::named(&header.name).is_some_and(|field| {
        lifts(target, field)
            && target.carried(field, message).is_none()
            && target.restore(field, &mut message.clone(), &header.value)
    })
}

/// The value that a plain reading would lift.
fn last_usable<'a>(
    target: &impl Target,
    field: Field,
    message: &Message,
    headers: &'a [Header],
) -> Option<&'a Value> {
    let named = headers
        .iter()
        .rev()
        .filter(|header| *header.name == *field.name().as_bytes());
    let mut values = named.map(|header| &header.value);
    values.find(|value| target.restore(field, &mut message.clone(), value))
}

/// A list in the making.
struct Draft<'a, T> {
    target: &'a T,
    list: Carried,
    marks: Vec<Mark>,
}

impl<'a, T: Target> Draft<'a, T> {
    fn new(target: &'a T) -> Self {
        Self {
            target,
            list: Carried::default(),
            marks: Vec::new(),
        }
    }

    fn push(&mut self, name: Bytes, value: &Value, role: Role) {
        let cells = self.target.cells();
        let name = name::encode(cells, &name);
        let (cell, said) = cells.put(value);
        if name.len() > cells.bytes_max() {
            return self.list.loss.add(LossCode::HdrName);
        }
        if cell
            .as_ref()
            .is_some_and(|cell| cell.len() > cells.bytes_max())
        {
            return self.list.loss.add(LossCode::HdrSize);
        }
        if said.is_some() || role != Role::Header {
            self.marks.push(Mark {
                position: self.list.entries.len(),
                role,
                said,
            });
        }
        self.list.entries.push((name, cell));
    }

    fn finish(mut self, message: &Message) -> Carried {
        let entries = &mut self.list.entries;
        if self.marks.is_empty() && !would_be_believed(self.target, message, entries) {
            return self.list;
        }
        let value = sidecar::format(entries.len(), &self.marks);
        if sidecar::has_room(entries) && value.len() <= self.target.cells().bytes_max() {
            entries.push((Bytes::from_static(sidecar::NAME), Some(value)));
        } else {
            self.list.loss.add(LossCode::HdrType);
        }
        self.list
    }
}

/// Whether the publisher's own last header is an `fl-t` that a reader would take for ours.
fn would_be_believed(target: &impl Target, message: &Message, entries: &[Entry]) -> bool {
    if sidecar::levels(entries) == 0 {
        return false;
    }
    let mut base = message.clone();
    base.headers = Headers::default();
    for field in Field::ALL.iter().copied() {
        if target.carried(field, message).is_some() {
            field.clear(&mut base);
        }
    }
    believed(target, &base, entries).is_some()
}
