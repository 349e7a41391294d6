//! Arguments of methods, and the words in which RabbitMQ refuses them.

use bytes::Bytes;
use fairlead_canon::Value;

/// What RabbitMQ calls the type of a value.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "void",
        Value::Bool(_) => "bool",
        Value::I8(_) => "byte",
        Value::U8(_) => "unsignedbyte",
        Value::I16(_) => "short",
        Value::U16(_) => "unsignedshort",
        Value::I32(_) => "signedint",
        Value::U32(_) => "unsignedint",
        Value::I64(_) | Value::U64(_) | Value::TimeMillis(_) => "long",
        Value::F32(_) => "float",
        Value::F64(_) => "double",
        Value::Decimal { .. } => "decimal",
        Value::TimeSeconds(_) => "timestamp",
        Value::Text(_) | Value::RawText(_) | Value::Symbol(_) | Value::Uuid(_) => "longstr",
        Value::Bytes(_) => "binary",
        Value::List(_) => "array",
        Value::Map(_) => "table",
    }
}

/// The bytes of a text, whether or not it is UTF-8.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "only these two are texts on the wire"
)]
pub(crate) fn text_bytes(value: &Value) -> Option<Bytes> {
    match value {
        Value::Text(text) => Some(text.as_bytes().clone()),
        Value::RawText(bytes) => Some(bytes.clone()),
        _ => None,
    }
}
