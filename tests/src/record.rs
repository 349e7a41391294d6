//! One message as the client programs read and print it: `clients/README.md`.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// A header's value: text, number, bool, null, list, map, or `{"b64": ".."}` for bytes that are not text.
pub type Value = serde_json::Value;

/// One message, in or out. Absent fields are `None`; a null body or key is `None` too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Record {
    pub to: String,
    #[serde(with = "bytes")]
    pub body: Option<Vec<u8>>,
    #[serde(with = "bytes", skip_serializing_if = "Option::is_none")]
    pub key: Option<Vec<u8>>,
    #[serde(with = "bytes", skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Vec<u8>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, Value)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiry_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retain: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_mode: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qos: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redelivered: Option<bool>,
}

impl Record {
    /// A message with a body and nothing else.
    pub fn new(to: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            to: to.into(),
            body: Some(body.into()),
            ..Self::default()
        }
    }

    /// The last header of this name.
    pub fn header(&self, name: &str) -> Option<&Value> {
        self.headers
            .iter()
            .rev()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }
}

pub(crate) fn unpack(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).expect("a client prints base64")
}

mod bytes {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => to.serialize_str(&STANDARD.encode(bytes)),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(
        from: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        Option::<String>::deserialize(from)?
            .map(|text| STANDARD.decode(text).map_err(D::Error::custom))
            .transpose()
    }
}
