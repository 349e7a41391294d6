//! Letters for the types that a field table cannot say (`mapping.md` section 4).

use fairlead_canon::{Text, Value};

use crate::codec::nearest;

/// The letter of a value that stands in a table as its nearest type; `None` when its own type will do.
pub(super) fn code_of(value: &Value) -> Option<char> {
    match value {
        Value::U64(_) => Some('L'),
        Value::TimeMillis(_) => Some('m'),
        Value::Uuid(_) => Some('u'),
        Value::Symbol(_) => Some('y'),
        Value::Null
        | Value::Bool(_)
        | Value::I8(_)
        | Value::U8(_)
        | Value::I16(_)
        | Value::U16(_)
        | Value::I32(_)
        | Value::U32(_)
        | Value::I64(_)
        | Value::F32(_)
        | Value::F64(_)
        | Value::Decimal { .. }
        | Value::TimeSeconds(_)
        | Value::Text(_)
        | Value::RawText(_)
        | Value::Bytes(_)
        | Value::List(_)
        | Value::Map(_) => None,
    }
}

/// The value that stood in a table beside this code; `None` when it is not what we would have written.
pub(super) fn from_code(code: &str, written: Value) -> Option<Value> {
    let meant = match (code, &written) {
        ("", _) => return Some(written),
        ("L", Value::Text(text)) => Value::U64(text.parse().ok()?),
        ("m", Value::I64(ms)) => Value::TimeMillis(*ms),
        ("u", Value::Text(text)) => Value::Uuid(uuid(text)?),
        ("y", Value::Text(text)) => Value::Symbol(text.clone()),
        _ => return None,
    };
    (nearest(&meant) == Some(written)).then_some(meant)
}

fn uuid(text: &Text) -> Option<[u8; 16]> {
    let number = u128::from_str_radix(text, 16).ok()?;
    Some(number.to_be_bytes())
}
