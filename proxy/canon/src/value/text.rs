//! Text forms: what a value is where only text or bytes can stand (`mapping.md` section 4).
//!
//! Each form is the only one of its value, so text that reads back is text that was written here.

use bytes::{Bytes, BytesMut};

use super::{Text, Value, tree};
use crate::codec::reader::Reader;

impl Value {
    /// The letter that names its type beside a text form.
    pub fn letter(&self) -> char {
        match self {
            Self::Null => 'n',
            Self::Bool(_) => 't',
            Self::I8(_) => 'b',
            Self::U8(_) => 'B',
            Self::I16(_) => 's',
            Self::U16(_) => 'S',
            Self::I32(_) => 'i',
            Self::U32(_) => 'I',
            Self::I64(_) => 'l',
            Self::U64(_) => 'L',
            Self::F32(_) => 'f',
            Self::F64(_) => 'd',
            Self::Decimal { .. } => 'D',
            Self::TimeMillis(_) => 'm',
            Self::TimeSeconds(_) => 'T',
            Self::Uuid(_) => 'u',
            Self::Text(_) => 'v',
            Self::RawText(_) => 'r',
            Self::Bytes(_) => 'x',
            Self::Symbol(_) => 'y',
            Self::List(_) | Self::Map(_) => 'A',
        }
    }

    /// Its text form: UTF-8, but for raw text, bytes, lists and maps. `Null` has the empty one.
    /// Lists and maps keep the types that a typed table knows; others become text within them.
    pub fn to_text(&self) -> Bytes {
        match self {
            Self::Null => Bytes::new(),
            Self::Bool(v) => shown(v),
            Self::I8(v) => shown(v),
            Self::U8(v) => shown(v),
            Self::I16(v) => shown(v),
            Self::U16(v) => shown(v),
            Self::I32(v) => shown(v),
            Self::U32(v) => shown(v),
            Self::I64(v) | Self::TimeMillis(v) | Self::TimeSeconds(v) => shown(v),
            Self::U64(v) => shown(v),
            Self::F32(v) => float(v.is_nan(), &v.to_le_bytes(), v),
            Self::F64(v) => float(v.is_nan(), &v.to_le_bytes(), v),
            Self::Decimal { scale, unscaled } => decimal(usize::from(*scale), *unscaled),
            Self::Uuid(v) => hex(v),
            Self::Text(v) | Self::Symbol(v) => v.as_bytes().clone(),
            Self::RawText(v) | Self::Bytes(v) => v.clone(),
            Self::List(_) | Self::Map(_) => {
                let mut out = BytesMut::new();
                tree::write(self, &mut out);
                out.freeze()
            }
        }
    }

    /// The value of this type with this text form; `None` when no value has it.
    pub fn from_text(letter: char, text: &Bytes) -> Option<Self> {
        let value = match letter {
            'n' => Self::Null,
            't' => Self::Bool(parsed(text)?),
            'b' => Self::I8(parsed(text)?),
            'B' => Self::U8(parsed(text)?),
            's' => Self::I16(parsed(text)?),
            'S' => Self::U16(parsed(text)?),
            'i' => Self::I32(parsed(text)?),
            'I' => Self::U32(parsed(text)?),
            'l' => Self::I64(parsed(text)?),
            'L' => Self::U64(parsed(text)?),
            'm' => Self::TimeMillis(parsed(text)?),
            'T' => Self::TimeSeconds(parsed(text)?),
            'f' => match bits(text) {
                Some(bits) => Self::F32(f32::from_le_bytes(bits)),
                None => Self::F32(parsed(text)?),
            },
            'd' => match bits(text) {
                Some(bits) => Self::F64(f64::from_le_bytes(bits)),
                None => Self::F64(parsed(text)?),
            },
            'D' => read_decimal(text)?,
            'u' => Self::Uuid(read_hex(text)?),
            'v' => Self::Text(Text::try_from(text.clone()).ok()?),
            'y' => Self::Symbol(Text::try_from(text.clone()).ok()?),
            'r' if std::str::from_utf8(text).is_err() => Self::RawText(text.clone()),
            'x' => Self::Bytes(text.clone()),
            'A' => read_tree(text)?,
            _ => return None,
        };
        (value.letter() == letter && value.to_text() == text).then_some(value)
    }
}

fn shown(value: &impl ToString) -> Bytes {
    Bytes::from(value.to_string())
}

fn parsed<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The shortest digits that read back to the same bits; `0b` and the bits where there are none.
fn float(is_nan: bool, bits: &[u8], value: &impl std::fmt::Debug) -> Bytes {
    if is_nan {
        [b"0b", &*hex(bits)].concat().into()
    } else {
        Bytes::from(format!("{value:?}"))
    }
}

fn bits<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    read_hex(text.strip_prefix(b"0b")?)
}

fn decimal(scale: usize, unscaled: i32) -> Bytes {
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
    match digits.split_at_checked(digits.len() - scale) {
        Some((whole, fraction)) if scale > 0 => format!("{sign}{whole}.{fraction}").into(),
        _ => format!("{sign}{digits}").into(),
    }
}

fn read_decimal(text: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(text).ok()?;
    let scale = text
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len());
    Some(Value::Decimal {
        scale: u8::try_from(scale).ok()?,
        unscaled: text.replacen('.', "", 1).parse().ok()?,
    })
}

/// Two lower-case digits per byte.
pub(crate) fn hex(bytes: &[u8]) -> Bytes {
    let digit = |nibble: u8| match nibble {
        0..10 => b'0' + nibble,
        _ => b'a' + nibble - 10,
    };
    let pair = |byte: &u8| [digit(byte >> 4), digit(byte & 15)];
    bytes.iter().flat_map(pair).collect()
}

/// Exactly `N` bytes from lower-case hex digits.
fn read_hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    unhex(digits)?.try_into().ok()
}

/// Bytes from lower-case hex digits.
pub(crate) fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let nibble = |digit: &u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let byte = |[high, low]: &[u8; 2]| Some(nibble(high)? << 4 | nibble(low)?);
    pairs.iter().map(byte).collect()
}

fn read_tree(text: &Bytes) -> Option<Value> {
    let mut reader = Reader::new(text.clone(), 0);
    let value = tree::read(&mut reader, 0).ok()?;
    reader.is_empty().then_some(value)
}
