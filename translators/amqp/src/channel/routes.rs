//! Further routing keys of a message, in its headers CC and BCC.

use bytes::Bytes;
use fairlead_canon::Value;

use crate::arguments::{text_bytes, type_name};
use crate::codec::{BasicProperties, Table};
use crate::errors::{Refusal, ReplyCode};

/// Further keys of one message: each is looked up on its own.
const FURTHER_KEYS_MAX: usize = 256;

/// Names keys that readers may see.
const CC: &[u8] = b"CC";
/// Names keys that no reader sees.
const BCC: &[u8] = b"BCC";

//= basic.publish.cc: each text in the lists CC and BCC is a further routing key of the message; its
//= basic.publish.cc: readers see the first key, and CC, but never BCC.
pub(super) fn take_further_keys(properties: &mut BasicProperties) -> Result<Vec<Bytes>, Refusal> {
    let Some(table) = &mut properties.headers else {
        return Ok(Vec::new());
    };
    let mut keys = Vec::new();
    for name in [CC, BCC] {
        keys.extend(keys_in(table, name)?);
    }
    if keys.len() > FURTHER_KEYS_MAX {
        let text = format!("more than {FURTHER_KEYS_MAX} routing keys in CC and BCC");
        return Err(ReplyCode::PreconditionFailed.because(text));
    }
    table.0.retain(|(name, _)| name != BCC);
    Ok(keys)
}

fn keys_in(table: &Table, name: &'static [u8]) -> Result<Vec<Bytes>, Refusal> {
    let values = match table.get(name) {
        None => return Ok(Vec::new()),
        Some(Value::List(values)) => values,
        Some(other) => {
            let text = format!(
                "invalid message: {{unacceptable_type_in_header,\"{}\",{}}}",
                name.escape_ascii(),
                type_name(other),
            );
            return Err(ReplyCode::PreconditionFailed.because(text));
        }
    };
    // What is not text is passed over.
    Ok(values.iter().filter_map(text_bytes).collect())
}
