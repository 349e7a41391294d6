//! Writing a message into a list of headers, and reading it back.

use bytes::Bytes;

use super::parts::{Part, Role, Trust, assemble, base_of, parts};
use super::sidecar::{self, Mark};
use super::{ListTarget, Restored, history, name};
use crate::{Loss, LossCode, Message};

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

/// Writes the headers of a message, and the properties that `target` has no place for.
pub fn write(target: &impl ListTarget, message: &Message) -> Carried {
    let cells = target.cells();
    let mut list = Carried::default();
    let mut marks = Vec::new();
    let mut parts = parts(target, message);
    list.loss
        .merge(history::add(message, cells.bytes_max(), &mut parts));
    for part in parts {
        let name = name::encode(cells, &part.name);
        let (cell, said) = cells.put(&part.value);
        if name.len() > cells.bytes_max() {
            list.loss.add(LossCode::HdrName);
            continue;
        }
        if cell.as_ref().map_or(0, Bytes::len) > cells.bytes_max() {
            list.loss.add(LossCode::HdrSize);
            continue;
        }
        if said.is_some() || part.role != Role::Header {
            marks.push(Mark {
                position: list.entries.len(),
                role: part.role,
                said,
            });
        }
        list.entries.push((name, cell));
    }
    add_sidecar(target, message, &marks, &mut list);
    list
}

fn add_sidecar(target: &impl ListTarget, message: &Message, marks: &[Mark], list: &mut Carried) {
    let entries = &mut list.entries;
    if marks.is_empty() && !would_be_believed(target, message, entries) {
        return;
    }
    let value = sidecar::format(entries.len(), marks);
    if sidecar::has_room(entries) && value.len() <= target.cells().bytes_max() {
        entries.push((Bytes::from_static(sidecar::NAME), Some(value)));
    } else {
        list.loss.add(LossCode::HdrType);
    }
}

/// Whether the publisher's own last header is an `fl-t` that a reader would take for ours.
fn would_be_believed(target: &impl ListTarget, message: &Message, entries: &[Entry]) -> bool {
    sidecar::levels(entries) > 0 && believed(target, &base_of(target, message), entries).is_some()
}

/// Reads a list of headers into `base`, a message without headers in which everything is set that
/// has a place of its own in the target.
pub fn read(target: &impl ListTarget, base: Message, entries: &[Entry]) -> Restored {
    let mut loss = Loss::NONE;
    if entries.is_empty() {
        let message = base;
        return Restored { message, loss };
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

/// What a list says that ends in an `fl-t` which we could have written.
fn believed(target: &impl ListTarget, base: &Message, entries: &[Entry]) -> Option<Message> {
    let (before, marks) = sidecar::split(entries)?;
    let said = read_marked(target, base, (before, &marks), Trust::Ourselves)?;
    if write(target, &said).entries != entries {
        return None;
    }
    read_marked(target, base, (before, &marks), Trust::Stranger)
}

fn read_marked(
    target: &impl ListTarget,
    base: &Message,
    (entries, marks): (&[Entry], &[Mark]),
    trust: Trust,
) -> Option<Message> {
    let cells = target.cells();
    let mut marks = marks.iter().peekable();
    let mut parts = Vec::with_capacity(entries.len());
    for (position, (name, cell)) in entries.iter().enumerate() {
        let mark = marks.next_if(|mark| mark.position == position);
        parts.push(Part {
            name: name::decode(cells, name),
            value: match mark.and_then(|mark| mark.said) {
                None => cells.plain(cell.as_ref()),
                Some(said) => cells.get(cell.as_ref(), said)?,
            },
            role: mark.map_or(Role::Header, |mark| mark.role),
        });
    }
    assemble(target, base, parts, trust)
}
