//! What a message carries, whatever kind of list it goes into.

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Field, Target};
use crate::{Header, Headers, HeadersBuilder, Message, Value};

/// One entry of a list, before it is written or after it was read.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) name: Bytes,
    pub(super) value: Value,
    pub(super) role: Role,
}

/// What kind of entry one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A header of the publisher, lifted into the property of its name.
    Header,
    /// A header of the publisher, and nothing else.
    OnlyHeader,
    /// A property of ours.
    Property,
}

/// Whose properties are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// All of them: to see whether writing them gives the same list.
    Ourselves,
    /// Those that anyone may say; the others become headers.
    Stranger,
}

/// The properties that `target` has no place for, then the headers.
pub(super) fn parts(target: &impl Target, message: &Message) -> Vec<Part> {
    let headers: SmallVec<[Header; 8]> = message.headers.iter().collect();
    let mut parts = Vec::new();
    for field in Field::ALL.iter().copied() {
        let Some(value) = target.carried(field, message) else {
            continue;
        };
        let is_implied =
            lifts(target, field) && last_usable(target, field, message, &headers) == Some(&value);
        if !is_implied {
            let name = Bytes::from_static(target.name(field).as_bytes());
            let role = Role::Property;
            parts.push(Part { name, value, role });
        }
    }
    for header in headers {
        let role = if would_lift(target, message, &header) {
            Role::OnlyHeader
        } else {
            Role::Header
        };
        let Header { name, value } = header;
        parts.push(Part { name, value, role });
    }
    parts
}

/// The message that parts make of `base`; `None` when a property among them cannot be one.
pub(super) fn assemble(
    target: &impl Target,
    base: &Message,
    parts: impl IntoIterator<Item = Part>,
    trust: Trust,
) -> Option<Message> {
    let mut headers = HeadersBuilder::default();
    let mut explicit: SmallVec<[(Field, Value); 8]> = SmallVec::new();
    let mut liftable: SmallVec<[(Field, Value); 4]> = SmallVec::new();
    for Part { name, value, role } in parts {
        let field = named(target, &name);
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
        match (said.next(), said.next()) {
            (Some((_, value)), None) => target.restore(field, &mut message, value).then_some(())?,
            (Some(_), Some(_)) => return None,
            (None, _) => {
                let mut latest_first = liftable.iter().rev().filter(of_field);
                latest_first.any(|(_, value)| target.restore(field, &mut message, value));
            }
        }
    }
    Some(message)
}

/// What of a message stands outside the list.
pub(super) fn base_of(target: &impl Target, message: &Message) -> Message {
    let mut base = message.clone();
    base.headers = Headers::default();
    for field in Field::ALL.iter().copied() {
        if target.carried(field, message).is_some() {
            field.clear(&mut base);
        }
    }
    base
}

fn named(target: &impl Target, name: &[u8]) -> Option<Field> {
    let has_name = |field: &Field| target.name(*field).as_bytes() == name;
    Field::ALL.iter().copied().find(has_name)
}

/// Whether a plain header of this field's name also means the field.
fn lifts(target: &impl Target, field: Field) -> bool {
    field.is_believed() && !target.has_place(field)
}

/// Whether a plain reading would lift this header into a field that the message does not have.
fn would_lift(target: &impl Target, message: &Message, header: &Header) -> bool {
    named(target, &header.name).is_some_and(|field| {
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
    let name = target.name(field).as_bytes();
    let named = headers.iter().rev().filter(|header| header.name == name);
    let mut values = named.map(|header| &header.value);
    values.find(|value| target.restore(field, &mut message.clone(), value))
}
