//! Letters for the types that a field table cannot say (`mapping.md` section 4).

use fairlead_canon::{Text, Value};

use crate::codec::nearest;

/// The letter of a value that stands in a table as its nearest type; `None` when its own type will do.
pub(super) fn code_of(value: &Value) -> Option<char> {
    if matches!(value, Value::U64(_)) {
        Some('L')
    } else if matches!(value, Value::TimeMillis(_)) {
        Some('m')
    } else if matches!(value, Value::Uuid(_)) {
        Some('u')
    } else if matches!(value, Value::Symbol(_)) {
        Some('y')
    } else {
        None
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
