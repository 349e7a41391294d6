//! The text form of lists and maps: the encoding of typed tables, big-endian.
//!
//! ```text
//! value = letter content      list = "A" length:u32 { value }      map = "F" length:u32 { name value }
//! name  = length:u8 bytes
//! ```
//!
//! It is what the one protocol with typed tables puts on the wire, so a reader of another protocol can
//! open it with a library of that one. Types that it lacks are written as text.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Text, Value};
use crate::codec::Damage;
use crate::codec::reader::Reader;
use crate::codec::writer::length32;
use crate::limits::VALUE_DEPTH_MAX;

/// Writes a value with its letter.
pub(super) fn write(value: &Value, out: &mut BytesMut) {
    match value {
        Value::Null => out.put_u8(b'V'),
        Value::Bool(v) => fixed(b't', &[u8::from(*v)], out),
        Value::I8(v) => fixed(b'b', &v.to_be_bytes(), out),
        Value::U8(v) => fixed(b'B', &v.to_be_bytes(), out),
        Value::I16(v) => fixed(b's', &v.to_be_bytes(), out),
        Value::U16(v) => fixed(b'u', &v.to_be_bytes(), out),
        Value::I32(v) => fixed(b'I', &v.to_be_bytes(), out),
        Value::U32(v) => fixed(b'i', &v.to_be_bytes(), out),
        Value::I64(v) | Value::TimeMillis(v) => fixed(b'l', &v.to_be_bytes(), out),
        Value::F32(v) => fixed(b'f', &v.to_be_bytes(), out),
        Value::F64(v) => fixed(b'd', &v.to_be_bytes(), out),
        Value::Decimal { scale, unscaled } => {
            fixed(b'D', &[*scale], out);
            out.put_i32(*unscaled);
        }
        Value::TimeSeconds(v) => fixed(b'T', &v.to_be_bytes(), out),
        Value::Text(_) | Value::RawText(_) | Value::Symbol(_) | Value::U64(_) | Value::Uuid(_) => {
            sized(b'S', &value.to_text(), out)
        }
        Value::Bytes(v) => sized(b'x', v, out),
        Value::List(items) => {
            let mut inner = BytesMut::new();
            items.iter().for_each(|item| write(item, &mut inner));
            sized(b'A', &inner, out);
        }
        Value::Map(entries) => {
            let mut inner = BytesMut::new();
            for (name, value) in entries {
                // Maps come from tables, where no name is longer.
                if let Ok(len) = u8::try_from(name.len()) {
                    fixed(len, name, &mut inner);
                    write(value, &mut inner);
                }
            }
            sized(b'F', &inner, out);
        }
    }
}

fn fixed(first: u8, rest: &[u8], out: &mut BytesMut) {
    out.put_u8(first);
    out.put_slice(rest);
}

fn sized(letter: u8, bytes: &[u8], out: &mut BytesMut) {
    out.put_u8(letter);
    out.put_u32(length32(bytes.len()));
    out.put_slice(bytes);
}

/// Reads a value by its letter; `depth` lists and maps are already open.
pub(super) fn read(from: &mut Reader, depth: usize) -> Result<Value, Damage> {
    Ok(match from.byte("field type")? {
        b'V' => Value::Null,
        b't' => Value::Bool(from.byte("field")? != 0),
        b'b' => Value::I8(i8::from_be_bytes(from.array("field")?)),
        b'B' => Value::U8(from.byte("field")?),
        b's' => Value::I16(i16::from_be_bytes(from.array("field")?)),
        b'u' => Value::U16(u16::from_be_bytes(from.array("field")?)),
        b'I' => Value::I32(i32::from_be_bytes(from.array("field")?)),
        b'i' => Value::U32(u32::from_be_bytes(from.array("field")?)),
        b'l' => Value::I64(i64::from_be_bytes(from.array("field")?)),
        b'f' => Value::F32(f32::from_be_bytes(from.array("field")?)),
        b'd' => Value::F64(f64::from_be_bytes(from.array("field")?)),
        b'D' => Value::Decimal {
            scale: from.byte("field")?,
            unscaled: i32::from_be_bytes(from.array("field")?),
        },
        b'T' => Value::TimeSeconds(i64::from_be_bytes(from.array("field")?)),
        b'S' => text(part(from)?.rest()),
        b'x' => Value::Bytes(part(from)?.rest()),
        b'A' | b'F' if depth >= VALUE_DEPTH_MAX => return Err(from.damage("field depth")),
        b'A' => {
            let mut part = part(from)?;
            let mut items = Vec::new();
            while !part.is_empty() {
                items.push(read(&mut part, depth + 1)?);
            }
            Value::List(items)
        }
        b'F' => {
            let mut part = part(from)?;
            let mut entries = Vec::new();
            while !part.is_empty() {
                let len = usize::from(part.byte("field name")?);
                let name = part.take(len, "field name")?;
                entries.push((name, read(&mut part, depth + 1)?));
            }
            Value::Map(entries)
        }
        _ => return Err(from.damage("field type")),
    })
}

fn part(from: &mut Reader) -> Result<Reader, Damage> {
    let len = u32::from_be_bytes(from.array("field length")?);
    from.part(len as usize, "field length")
}

fn text(bytes: Bytes) -> Value {
    Text::try_from(bytes.clone()).map_or(Value::RawText(bytes), Value::Text)
}
