//! Header values: the union of what the protocols can say.

pub(crate) mod stored;
pub(crate) mod text;
mod tree;

use bytes::Bytes;

/// Text that is known to be UTF-8. Cloning copies a reference count.
pub type Text = bytestring::ByteString;

/// One value, with the tag of its stored form (never renumbered).
#[derive(Clone, Debug)]
pub enum Value {
    /// Tag 0.
    Null,
    /// Tag 1.
    Bool(bool),
    /// Tag 2.
    I8(i8),
    /// Tag 3.
    U8(u8),
    /// Tag 4.
    I16(i16),
    /// Tag 5.
    U16(u16),
    /// Tag 6.
    I32(i32),
    /// Tag 7.
    U32(u32),
    /// Tag 8.
    I64(i64),
    /// Tag 9.
    U64(u64),
    /// Tag 10. Compared by bits.
    F32(f32),
    /// Tag 11. Compared by bits.
    F64(f64),
    /// Tag 12: `unscaled / 10^scale`.
    Decimal {
        /// Digits after the point.
        scale: u8,
        /// The digits as one number.
        unscaled: i32,
    },
    /// Tag 13: milliseconds since the Unix epoch.
    TimeMillis(i64),
    /// Tag 14: seconds since the Unix epoch.
    TimeSeconds(i64),
    /// Tag 15.
    Uuid([u8; 16]),
    /// Tag 16.
    Text(Text),
    /// Tag 17: declared as text by its publisher, but not UTF-8.
    RawText(Bytes),
    /// Tag 18.
    Bytes(Bytes),
    /// Tag 19.
    Symbol(Text),
    /// Tag 20.
    List(Vec<Value>),
    /// Tag 21: ordered; at most [`limits::VALUE_DEPTH_MAX`](crate::limits::VALUE_DEPTH_MAX) deep.
    Map(Vec<(Bytes, Value)>),
}

impl Value {
    /// The tag of its stored form.
    pub fn tag(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::I8(_) => 2,
            Self::U8(_) => 3,
            Self::I16(_) => 4,
            Self::U16(_) => 5,
            Self::I32(_) => 6,
            Self::U32(_) => 7,
            Self::I64(_) => 8,
            Self::U64(_) => 9,
            Self::F32(_) => 10,
            Self::F64(_) => 11,
            Self::Decimal { .. } => 12,
            Self::TimeMillis(_) => 13,
            Self::TimeSeconds(_) => 14,
            Self::Uuid(_) => 15,
            Self::Text(_) => 16,
            Self::RawText(_) => 17,
            Self::Bytes(_) => 18,
            Self::Symbol(_) => 19,
            Self::List(_) => 20,
            Self::Map(_) => 21,
        }
    }

    /// What bytes of no declared type mean: text if they are UTF-8, else bytes.
    pub fn from_untyped(bytes: Bytes) -> Self {
        Text::try_from(bytes.clone()).map_or(Self::Bytes(bytes), Self::Text)
    }
}

/// Equal in type and in every bit: two NaN with the same payload are equal, 0.0 and -0.0 are not.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::I8(a), Self::I8(b)) => a == b,
            (Self::U8(a), Self::U8(b)) => a == b,
            (Self::I16(a), Self::I16(b)) => a == b,
            (Self::U16(a), Self::U16(b)) => a == b,
            (Self::I32(a), Self::I32(b)) => a == b,
            (Self::U32(a), Self::U32(b)) => a == b,
            (Self::U64(a), Self::U64(b)) => a == b,
            (Self::I64(a), Self::I64(b))
            | (Self::TimeMillis(a), Self::TimeMillis(b))
            | (Self::TimeSeconds(a), Self::TimeSeconds(b)) => a == b,
            (Self::F32(a), Self::F32(b)) => a.to_bits() == b.to_bits(),
            (Self::F64(a), Self::F64(b)) => a.to_bits() == b.to_bits(),
            (
                Self::Decimal { scale, unscaled },
                Self::Decimal {
                    scale: other_scale,
                    unscaled: other_unscaled,
                },
            ) => scale == other_scale && unscaled == other_unscaled,
            (Self::Uuid(a), Self::Uuid(b)) => a == b,
            (Self::Text(a), Self::Text(b)) | (Self::Symbol(a), Self::Symbol(b)) => a == b,
            (Self::RawText(a), Self::RawText(b)) | (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

#[cfg(test)]
mod tests;
