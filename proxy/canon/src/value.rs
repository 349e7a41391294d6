//! Header values: the union of what the protocols can say.

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
