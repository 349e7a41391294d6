//! The stored form of the properties: `field u8`, base-128 length, bytes, repeated.

use bytes::{BufMut, BytesMut};

use super::{BodyFormat, Properties, ReplyTo, TraceContext, User};
use crate::codec::Damage;
use crate::codec::reader::Reader;
use crate::codec::writer::sized;
use crate::value::stored;
use crate::{Address, Path, RealmId, Text, Value, death};

// Bytes on disk, never renumbered.
const CONTENT_TYPE: u8 = 1;
const CONTENT_ENCODING: u8 = 2;
const KIND: u8 = 3;
const APP: u8 = 4;
const MESSAGE_ID: u8 = 5;
const CORRELATION: u8 = 6;
const REPLY_ADDRESS: u8 = 7;
const REPLY_ENTITY: u8 = 8;
const REPLY_OPAQUE: u8 = 9;
const USER_CLAIMED: u8 = 10;
const USER_VERIFIED: u8 = 11;
const TRACE_PARENT: u8 = 12;
const TRACE_STATE: u8 = 13;
const FORMAT_BYTES: u8 = 14;
const FORMAT_TEXT: u8 = 15;
const DEATH: u8 = 16;
const ALSO_AT: u8 = 17;

pub(crate) fn write(properties: &Properties, out: &mut BytesMut) {
    text(CONTENT_TYPE, properties.content_type.as_ref(), out);
    text(CONTENT_ENCODING, properties.content_encoding.as_ref(), out);
    text(KIND, properties.kind.as_ref(), out);
    text(APP, properties.app.as_ref(), out);
    value(MESSAGE_ID, properties.message_id.as_ref(), out);
    value(CORRELATION, properties.correlation.as_ref(), out);
    match &properties.reply_to {
        None => {}
        Some(ReplyTo::Address(address)) => {
            let mut inner = BytesMut::with_capacity(8 + address.path.as_stored().len());
            inner.put_u64_le(address.realm.0);
            inner.put_slice(address.path.as_stored());
            field(REPLY_ADDRESS, &inner, out);
        }
        Some(ReplyTo::Entity(name)) => field(REPLY_ENTITY, name.as_bytes(), out),
        Some(ReplyTo::Opaque(bytes)) => field(REPLY_OPAQUE, bytes, out),
    }
    match &properties.user {
        None => {}
        Some(user) if user.is_verified => field(USER_VERIFIED, user.name.as_bytes(), out),
        Some(user) => field(USER_CLAIMED, user.name.as_bytes(), out),
    }
    if let Some(trace) = &properties.trace {
        text(TRACE_PARENT, Some(&trace.parent), out);
        text(TRACE_STATE, trace.state.as_ref(), out);
    }
    match properties.format {
        None => {}
        Some(BodyFormat::Bytes) => field(FORMAT_BYTES, &[], out),
        Some(BodyFormat::Text) => field(FORMAT_TEXT, &[], out),
    }
    for one in properties.deaths.iter() {
        let mut inner = BytesMut::new();
        death::write(one, &mut inner);
        field(DEATH, &inner, out);
    }
    for path in &properties.also_at {
        field(ALSO_AT, path.as_stored(), out);
    }
}

fn text(number: u8, text: Option<&Text>, out: &mut BytesMut) {
    if let Some(text) = text {
        field(number, text.as_bytes(), out);
    }
}

fn value(number: u8, value: Option<&Value>, out: &mut BytesMut) {
    if let Some(value) = value {
        let mut inner = BytesMut::new();
        stored::write(value, &mut inner);
        field(number, &inner, out);
    }
}

fn field(number: u8, bytes: &[u8], out: &mut BytesMut) {
    out.put_u8(number);
    sized(bytes, out);
}

pub(crate) fn read(mut from: Reader) -> Result<Properties, Damage> {
    let mut properties = Properties::default();
    while !from.is_empty() {
        let number = from.byte("property")?;
        let len = from.length("property length")?;
        let part = from.part(len, "property")?;
        set(&mut properties, number, part, len)?;
    }
    Ok(properties)
}

fn set(
    properties: &mut Properties,
    number: u8,
    mut part: Reader,
    len: usize,
) -> Result<(), Damage> {
    match number {
        CONTENT_TYPE => properties.content_type = Some(part.text(len, "content type")?),
        CONTENT_ENCODING => properties.content_encoding = Some(part.text(len, "content encoding")?),
        KIND => properties.kind = Some(part.text(len, "kind")?),
        APP => properties.app = Some(part.text(len, "app")?),
        MESSAGE_ID => properties.message_id = Some(stored::read(&mut part, 0)?),
        CORRELATION => properties.correlation = Some(stored::read(&mut part, 0)?),
        REPLY_ADDRESS => {
            let realm = RealmId(u64::from_le_bytes(part.array("reply realm")?));
            let damage = part.damage("reply path");
            let path = Path::from_stored(part.rest()).map_err(|_not_a_path| damage)?;
            properties.reply_to = Some(ReplyTo::Address(Address::new(realm, path)));
        }
        REPLY_ENTITY => properties.reply_to = Some(ReplyTo::Entity(part.text(len, "reply to")?)),
        REPLY_OPAQUE => properties.reply_to = Some(ReplyTo::Opaque(part.rest())),
        USER_CLAIMED | USER_VERIFIED => {
            properties.user = Some(User {
                name: part.text(len, "user")?,
                is_verified: number == USER_VERIFIED,
            });
        }
        TRACE_PARENT => {
            let parent = part.text(len, "trace parent")?;
            properties.trace = Some(TraceContext {
                parent,
                state: None,
            });
        }
        TRACE_STATE => {
            let state = part.text(len, "trace state")?;
            let damage = part.damage("trace state without parent");
            properties.trace.as_mut().ok_or(damage)?.state = Some(state);
        }
        FORMAT_BYTES => properties.format = Some(BodyFormat::Bytes),
        FORMAT_TEXT => properties.format = Some(BodyFormat::Text),
        DEATH => properties.deaths.push_read(death::read(&mut part)?),
        ALSO_AT => {
            let damage = part.damage("further path");
            let path = Path::from_stored(part.rest()).map_err(|_not_a_path| damage)?;
            let before = std::mem::take(&mut properties.also_at);
            properties.also_at = before.into_iter().chain([path]).collect();
        }
        _ => return Err(part.damage("unknown property")),
    }
    Ok(())
}
