//! Field tables: named, typed values, nested.
//!
//! The type letters are those that RabbitMQ and its clients use, which differ from the specification's
//! (`s` is a signed short, `l` a signed long-long, `b` a signed byte; `x` is a byte array).
//!
//! ```text
//! table = length:u32 { name:shortstr value }     value = letter:u8 content     array = length:u32 { value }
//! ```

use bytes::Bytes;
use fairlead_canon::limits::VALUE_DEPTH_MAX;
use fairlead_canon::{Text, Value};
use fairlead_wire::{Reader, WireError, Writer};

use super::DecodeError;

/// A field table: order and duplicates as they came.
#[derive(Clone, Debug, Default)]
pub struct Table(pub Vec<(Bytes, Value)>);

impl Table {
    /// The first value of that name.
    pub fn get(&self, name: &[u8]) -> Option<&Value> {
        let entry = self.0.iter().find(|(said, _)| said == name);
        entry.map(|(_, value)| value)
    }

    /// Adds a value.
    pub fn push(&mut self, name: &'static str, value: Value) {
        self.0.push((Bytes::from_static(name.as_bytes()), value));
    }

    /// Reads entries that fill `bytes`, without a length in front.
    pub(crate) fn from_entries(bytes: &Bytes) -> Result<Self, DecodeError> {
        read_entries(bytes, 0).map(Self)
    }

    pub(super) fn decode(reader: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        Self::from_entries(&reader.bytes32(name)?)
    }

    pub(super) fn encode(
        &self,
        writer: &mut Writer<'_>,
        name: &'static str,
    ) -> Result<(), WireError> {
        write_entries(writer, name, &self.0)
    }
}

fn read_entries(bytes: &Bytes, depth: usize) -> Result<Vec<(Bytes, Value)>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let mut entries = Vec::new();
    while !reader.is_empty() {
        let name = reader.bytes8("field name")?;
        entries.push((name, read_value(&mut reader, depth)?));
    }
    Ok(entries)
}

fn read_values(bytes: &Bytes, depth: usize) -> Result<Vec<Value>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let mut values = Vec::new();
    while !reader.is_empty() {
        values.push(read_value(&mut reader, depth)?);
    }
    Ok(values)
}

/// Recursion is bounded: `depth` counts the lists and maps around this value.
fn read_value(reader: &mut Reader<'_>, depth: usize) -> Result<Value, DecodeError> {
    const NAME: &str = "field value";
    Ok(match reader.u8("field type")? {
        b't' => Value::Bool(reader.u8(NAME)? != 0),
        b'b' => Value::I8(i8::from_be_bytes(reader.array(NAME)?)),
        b'B' => Value::U8(reader.u8(NAME)?),
        b's' => Value::I16(i16::from_be_bytes(reader.array(NAME)?)),
        b'u' => Value::U16(reader.u16(NAME)?),
        b'I' => Value::I32(i32::from_be_bytes(reader.array(NAME)?)),
        b'i' => Value::U32(reader.u32(NAME)?),
        b'l' => Value::I64(i64::from_be_bytes(reader.array(NAME)?)),
        b'f' => Value::F32(f32::from_be_bytes(reader.array(NAME)?)),
        b'd' => Value::F64(f64::from_be_bytes(reader.array(NAME)?)),
        b'D' => Value::Decimal {
            scale: reader.u8(NAME)?,
            unscaled: i32::from_be_bytes(reader.array(NAME)?),
        },
        b'S' => long_string(reader.bytes32(NAME)?),
        b'x' => Value::Bytes(reader.bytes32(NAME)?),
        b'T' => Value::TimeSeconds(i64::from_be_bytes(reader.array(NAME)?)),
        b'V' => Value::Null,
        b'A' => Value::List(read_values(&reader.bytes32(NAME)?, deeper(depth)?)?),
        b'F' => Value::Map(read_entries(&reader.bytes32(NAME)?, deeper(depth)?)?),
        letter => return Err(DecodeError::FieldType(letter)),
    })
}

fn deeper(depth: usize) -> Result<usize, DecodeError> {
    if depth >= VALUE_DEPTH_MAX {
        return Err(DecodeError::TooDeep(VALUE_DEPTH_MAX));
    }
    Ok(depth + 1)
}

fn long_string(bytes: Bytes) -> Value {
    match Text::try_from(bytes.clone()) {
        Ok(text) => Value::Text(text),
        Err(_not_utf8) => Value::RawText(bytes),
    }
}

fn write_entries(
    writer: &mut Writer<'_>,
    name: &'static str,
    entries: &[(Bytes, Value)],
) -> Result<(), WireError> {
    let mark = writer.length32();
    for (entry, value) in entries {
        writer.bytes8("field name", entry)?;
        write_value(writer, value)?;
    }
    writer.fill32(name, mark)
}

/// The value as which one without a type letter is written; what travels beside it is `map.rs`'s to say.
fn nearest(value: &Value) -> Option<Value> {
    if let Value::U64(number) = value {
        return Some(Value::Text(Text::from(number.to_string())));
    }
    if let Value::TimeMillis(ms) = value {
        return Some(Value::I64(*ms));
    }
    if let Value::Uuid(bytes) = value {
        let digits = format!("{:032x}", u128::from_be_bytes(*bytes));
        return Some(Value::Text(Text::from(digits)));
    }
    if let Value::Symbol(text) = value {
        return Some(Value::Text(text.clone()));
    }
    None
}

fn write_value(writer: &mut Writer<'_>, value: &Value) -> Result<(), WireError> {
    match value {
        Value::Null => writer.u8(b'V'),
        Value::Bool(v) => fixed(writer, b't', [u8::from(*v)]),
        Value::I8(v) => fixed(writer, b'b', v.to_be_bytes()),
        Value::U8(v) => fixed(writer, b'B', [*v]),
        Value::I16(v) => fixed(writer, b's', v.to_be_bytes()),
        Value::U16(v) => fixed(writer, b'u', v.to_be_bytes()),
        Value::I32(v) => fixed(writer, b'I', v.to_be_bytes()),
        Value::U32(v) => fixed(writer, b'i', v.to_be_bytes()),
        Value::I64(v) => fixed(writer, b'l', v.to_be_bytes()),
        Value::F32(v) => fixed(writer, b'f', v.to_be_bytes()),
        Value::F64(v) => fixed(writer, b'd', v.to_be_bytes()),
        Value::Decimal { scale, unscaled } => {
            fixed(writer, b'D', [*scale]);
            writer.raw(&unscaled.to_be_bytes());
        }
        Value::TimeSeconds(v) => fixed(writer, b'T', v.to_be_bytes()),
        Value::Text(v) => return long(writer, b'S', v.as_bytes()),
        Value::RawText(v) => return long(writer, b'S', v),
        Value::Bytes(v) => return long(writer, b'x', v),
        Value::List(values) => {
            writer.u8(b'A');
            let mark = writer.length32();
            for value in values {
                write_value(writer, value)?;
            }
            return writer.fill32("array", mark);
        }
        Value::Map(entries) => {
            writer.u8(b'F');
            return write_entries(writer, "table", entries);
        }
        Value::U64(_) | Value::TimeMillis(_) | Value::Uuid(_) | Value::Symbol(_) => {
            if let Some(nearest) = nearest(value) {
                return write_value(writer, &nearest);
            }
        }
    }
    Ok(())
}

fn fixed<const N: usize>(writer: &mut Writer<'_>, letter: u8, bytes: [u8; N]) {
    writer.u8(letter);
    writer.raw(&bytes);
}

fn long(writer: &mut Writer<'_>, letter: u8, bytes: &[u8]) -> Result<(), WireError> {
    writer.u8(letter);
    writer.bytes32("field value", bytes)
}
