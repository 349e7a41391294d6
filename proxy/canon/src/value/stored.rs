//! The stored form of a value: its payload, by tag. The tag stands before it, or in the entry that holds it.
//!
//! Numbers are little-endian and of their own width; text, bytes, lists and maps carry a base-128
//! length in bytes. A list is `tag, payload` repeated, a map `name, tag, payload`.

use bytes::{BufMut, BytesMut};

use super::Value;
use crate::codec::Damage;
use crate::codec::reader::Reader;
use crate::codec::writer::sized;
use crate::limits::VALUE_DEPTH_MAX;

/// Writes tag and payload.
pub(crate) fn write(value: &Value, out: &mut BytesMut) {
    out.put_u8(value.tag());
    write_payload(value, out);
}

/// Writes the payload alone.
pub(crate) fn write_payload(value: &Value, out: &mut BytesMut) {
    match value {
        Value::Null => {}
        Value::Bool(v) => out.put_u8(u8::from(*v)),
        Value::I8(v) => out.put_i8(*v),
        Value::U8(v) => out.put_u8(*v),
        Value::I16(v) => out.put_i16_le(*v),
        Value::U16(v) => out.put_u16_le(*v),
        Value::I32(v) => out.put_i32_le(*v),
        Value::U32(v) => out.put_u32_le(*v),
        Value::I64(v) | Value::TimeMillis(v) | Value::TimeSeconds(v) => out.put_i64_le(*v),
        Value::U64(v) => out.put_u64_le(*v),
        Value::F32(v) => out.put_f32_le(*v),
        Value::F64(v) => out.put_f64_le(*v),
        Value::Decimal { scale, unscaled } => {
            out.put_u8(*scale);
            out.put_i32_le(*unscaled);
        }
        Value::Uuid(v) => out.put_slice(v),
        Value::Text(v) | Value::Symbol(v) => sized(v.as_bytes(), out),
        Value::RawText(v) | Value::Bytes(v) => sized(v, out),
        Value::List(items) => sized_by(out, |out| items.iter().for_each(|item| write(item, out))),
        Value::Map(entries) => sized_by(out, |out| {
            for (name, value) in entries {
                sized(name, out);
                write(value, out);
            }
        }),
    }
}

/// Writes what `fill` writes, with its length in front.
fn sized_by(out: &mut BytesMut, fill: impl FnOnce(&mut BytesMut)) {
    let mut inner = BytesMut::new();
    fill(&mut inner);
    sized(&inner, out);
}

/// Reads tag and payload; `depth` lists and maps are already open.
pub(crate) fn read(from: &mut Reader, depth: usize) -> Result<Value, Damage> {
    let tag = from.byte("value tag")?;
    read_payload(tag, from, depth)
}

/// Reads the payload of a value with this tag.
pub(crate) fn read_payload(tag: u8, from: &mut Reader, depth: usize) -> Result<Value, Damage> {
    Ok(match tag {
        0 => Value::Null,
        1 => match from.byte("bool")? {
            0 => Value::Bool(false),
            1 => Value::Bool(true),
            _ => return Err(from.damage("bool")),
        },
        2 => Value::I8(i8::from_le_bytes(from.array("i8")?)),
        3 => Value::U8(from.byte("u8")?),
        4 => Value::I16(i16::from_le_bytes(from.array("i16")?)),
        5 => Value::U16(u16::from_le_bytes(from.array("u16")?)),
        6 => Value::I32(i32::from_le_bytes(from.array("i32")?)),
        7 => Value::U32(u32::from_le_bytes(from.array("u32")?)),
        8 => Value::I64(i64::from_le_bytes(from.array("i64")?)),
        9 => Value::U64(u64::from_le_bytes(from.array("u64")?)),
        10 => Value::F32(f32::from_le_bytes(from.array("f32")?)),
        11 => Value::F64(f64::from_le_bytes(from.array("f64")?)),
        12 => Value::Decimal {
            scale: from.byte("decimal")?,
            unscaled: i32::from_le_bytes(from.array("decimal")?),
        },
        13 => Value::TimeMillis(i64::from_le_bytes(from.array("time")?)),
        14 => Value::TimeSeconds(i64::from_le_bytes(from.array("time")?)),
        15 => Value::Uuid(from.array("uuid")?),
        _ => return read_sized(tag, from, depth),
    })
}

fn read_sized(tag: u8, from: &mut Reader, depth: usize) -> Result<Value, Damage> {
    let len = from.length("value length")?;
    Ok(match tag {
        16 => Value::Text(from.text(len, "text")?),
        17 => Value::RawText(from.take(len, "raw text")?),
        18 => Value::Bytes(from.take(len, "bytes")?),
        19 => Value::Symbol(from.text(len, "symbol")?),
        20 | 21 if depth >= VALUE_DEPTH_MAX => return Err(from.damage("value depth")),
        20 => {
            let mut part = from.part(len, "list")?;
            let mut items = Vec::new();
            while !part.is_empty() {
                items.push(read(&mut part, depth + 1)?);
            }
            Value::List(items)
        }
        21 => {
            let mut part = from.part(len, "map")?;
            let mut entries = Vec::new();
            while !part.is_empty() {
                let name_len = part.length("map name length")?;
                let name = part.take(name_len, "map name")?;
                entries.push((name, read(&mut part, depth + 1)?));
            }
            Value::Map(entries)
        }
        _ => return Err(from.damage("value tag")),
    })
}

/// Whether lists and maps nest at most [`VALUE_DEPTH_MAX`] deep.
pub(crate) fn is_shallow(value: &Value) -> bool {
    fn within(value: &Value, left: usize) -> bool {
        if let Value::List(items) = value {
            left > 0 && items.iter().all(|item| within(item, left - 1))
        } else if let Value::Map(entries) = value {
            left > 0 && entries.iter().all(|(_, v)| within(v, left - 1))
        } else {
            true
        }
    }
    within(value, VALUE_DEPTH_MAX)
}
