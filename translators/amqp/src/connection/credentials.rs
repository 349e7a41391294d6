//! Login mechanisms of this protocol, as the SASL message PLAIN that the login rule understands.

use bytes::{BufMut, Bytes, BytesMut};
use fairlead_canon::Value;

use crate::codec::Table;

/// The mechanism that the login rule checks for us.
pub(super) const PLAIN: &str = "PLAIN";
/// The same facts as a field table; what older clients begin with.
pub(super) const AMQPLAIN: &str = "AMQPLAIN";

/// What a client said, as a message of PLAIN, and the name that it said; `None` when it is not one.
pub(super) fn as_plain(mechanism: &[u8], response: &Bytes) -> Option<Bytes> {
    match mechanism {
        b"PLAIN" => Some(response.clone()),
        b"AMQPLAIN" => from_table(response),
        _ => None,
    }
}

/// The name in a message of PLAIN.
pub(super) fn name_in(plain: &Bytes) -> Option<Bytes> {
    let name = plain.split(|byte| *byte == 0).nth(1)?;
    Some(plain.slice_ref(name))
}

/// AMQPLAIN is a field table without the length in front.
fn from_table(response: &Bytes) -> Option<Bytes> {
    let table = Table::from_entries(response).ok()?;
    let text = |name: &[u8]| match table.get(name) {
        Some(Value::Text(text)) => Some(text.as_bytes().clone()),
        Some(Value::RawText(bytes)) => Some(bytes.clone()),
        _ => None,
    };
    let (login, password) = (text(b"LOGIN")?, text(b"PASSWORD")?);
    let mut plain = BytesMut::with_capacity(login.len() + password.len() + 2);
    plain.put_u8(0);
    plain.put_slice(&login);
    plain.put_u8(0);
    plain.put_slice(&password);
    Some(plain.freeze())
}
