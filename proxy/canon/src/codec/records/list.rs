//! The header list of a record, as a target of `carry`.

use super::name;
use crate::carry::{Cells, Field, ListTarget, Target};
use crate::{Address, Message, Path, Properties, RealmId, ReplyTo, Text, Value};

/// Key, null body and time have places of their own. A record always shows a time, so it takes a
/// header to say that the publisher gave none, or one that no record can show.
pub(super) struct RecordList<'a> {
    /// Where the reader finds the record; another address is carried.
    pub(super) place: &'a Address,
}

const NO_TIME: Text = Text::from_static("none");

impl ListTarget for RecordList<'_> {
    fn cells(&self) -> Cells {
        Cells::Bytes
    }
}

impl Target for RecordList<'_> {
    fn has_place(&self, field: Field) -> bool {
        matches!(field, Field::Key | Field::NullBody)
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only the fields that differ here are named"
    )]
    fn carried(&self, field: Field, message: &Message) -> Option<Value> {
        match field {
            Field::Key | Field::NullBody => None,
            Field::EventTime => match message.terms.event_at {
                None => Some(Value::Text(NO_TIME)),
                Some(at) if at.as_millis() < 0 => field.get(message),
                Some(_) => None,
            },
            Field::ReplyTo => {
                let reply_name = reply_name(message.properties.as_deref()?)?;
                Some(Value::Text(reply_name))
            }
            Field::Address if message.address != *self.place => shared_name(&message.address),
            _ => field.get(message),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only the fields that differ here are named"
    )]
    fn restore(&self, field: Field, message: &mut Message, value: &Value) -> bool {
        let Value::Text(text) = value else {
            return field.set(message, value);
        };
        match field {
            Field::EventTime if *text == NO_TIME => {
                message.terms.event_at = None;
                true
            }
            Field::EventTime if !text.starts_with('-') => false,
            Field::ReplyTo => path_of(text).is_some_and(|path| {
                message.properties_mut().reply_to = Some(ReplyTo::from_shared(path));
                true
            }),
            Field::Address => path_of(text).is_some_and(|path| {
                message.address = Address::shared(path);
                true
            }),
            _ => field.set(message, value),
        }
    }
}

/// Where replies are wanted, as a name.
pub(super) fn reply_name(properties: &Properties) -> Option<Text> {
    let path = properties.reply_to.as_ref()?.to_shared()?;
    Text::try_from(name::name_of(&path)).ok()
}

fn shared_name(address: &Address) -> Option<Value> {
    let is_shared = address.realm == RealmId::SHARED;
    let name = is_shared.then(|| name::name_of(&address.path))?;
    Text::try_from(name).ok().map(Value::Text)
}

/// The path of a name, if that is how we write it.
fn path_of(text: &Text) -> Option<Path> {
    let path = name::path_of(text.as_bytes()).ok()?;
    (name::name_of(&path) == *text.as_bytes()).then_some(path)
}
