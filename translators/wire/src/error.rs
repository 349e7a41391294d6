//! What is wrong with bytes that do not fit the shape that their reader or writer asks for.

use thiserror::Error;

/// A field that cannot be read, or a value that cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// The bytes end inside a field.
    #[error("{field} at byte {at} needs {needs} bytes, {left} are left")]
    Short {
        /// The field, as the codec names it.
        field: &'static str,
        /// Offset from the start of the reader's bytes.
        at: usize,
        /// Bytes that the field takes.
        needs: usize,
        /// Bytes that there are.
        left: usize,
    },
    /// A text field holds bytes that are not UTF-8.
    #[error("{field} at byte {at} is not UTF-8")]
    NotUtf8 {
        /// The field, as the codec names it.
        field: &'static str,
        /// Offset of the text's first byte.
        at: usize,
    },
    /// Bytes follow where the last field should have ended.
    #[error("{left} bytes follow the last field at byte {at}")]
    Trailing {
        /// Offset of the first byte that belongs to no field.
        at: usize,
        /// Bytes that there are.
        left: usize,
    },
    /// A value is longer than its length prefix can say.
    #[error("{field} is {len} bytes long, its length field says at most {max}")]
    TooLong {
        /// The field, as the codec names it.
        field: &'static str,
        /// Bytes of the value.
        len: usize,
        /// The most that the prefix can say.
        max: u32,
    },
}
