//! What names and values of a header list may be.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

use super::sidecar::Type;
use crate::{Text, Value};

/// What names and values of a header list may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cells {
    /// Names are UTF-8; values are bytes or null.
    Bytes,
    /// Names and values are UTF-8 without U+0000, up to 65,535 bytes.
    Text,
}

impl Cells {
    pub(super) fn holds_name(self, name: &[u8]) -> bool {
        match self {
            Self::Bytes => std::str::from_utf8(name).is_ok(),
            Self::Text => is_text(name),
        }
    }

    /// The longest name or value.
    pub(super) fn bytes_max(self) -> usize {
        match self {
            Self::Bytes => i32::MAX as usize,
            Self::Text => usize::from(u16::MAX),
        }
    }

    /// What a cell means without a type beside it.
    pub(super) fn plain(self, cell: Option<&Bytes>) -> Value {
        match (self, cell) {
            (_, None) => Value::Null,
            (Self::Bytes, Some(bytes)) => Value::from_untyped(bytes.clone()),
            // A text cell that is not text is a caller's fault; as bytes it does no harm.
            (Self::Text, Some(bytes)) => {
                Text::try_from(bytes.clone()).map_or(Value::Bytes(bytes.clone()), Value::Text)
            }
        }
    }

    /// The cell of a value, and the type to write beside it when the plain meaning differs.
    pub(super) fn put(self, value: &Value) -> (Option<Bytes>, Option<Type>) {
        let letter = value.letter();
        let text = value.to_text();
        match self {
            Self::Bytes if *value == Value::Null => (None, None),
            Self::Text if !is_text(&text) => {
                let base64 = Bytes::from(BASE64_STANDARD.encode(&text));
                (Some(base64), Some(Type::Base64(letter)))
            }
            Self::Bytes | Self::Text => {
                let is_plain = self.plain(Some(&text)) == *value;
                (Some(text), (!is_plain).then_some(Type::Plain(letter)))
            }
        }
    }

    /// The value of a cell with a type beside it.
    pub(super) fn get(self, cell: Option<&Bytes>, said: Type) -> Option<Value> {
        let cell = cell?;
        match (self, said) {
            (_, Type::Plain(letter)) => Value::from_text(letter, cell),
            (Self::Text, Type::Base64(letter)) => {
                let bytes = BASE64_STANDARD.decode(cell).ok()?;
                Value::from_text(letter, &bytes.into())
            }
            (Self::Bytes, Type::Base64(_)) => None,
        }
    }
}

fn is_text(bytes: &[u8]) -> bool {
    !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok()
}
