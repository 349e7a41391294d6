//! Settings of one topic: what may be set, and the document that keeps what was.

use bytes::{BufMut, Bytes, BytesMut};

use crate::errors::{self, Refusal};

/// What a topic can be told.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    /// Number of its type in DescribeConfigs.
    pub(crate) type_code: i8,
    allows: fn(&str) -> bool,
}

const STRING: i8 = 2;
const INT: i8 = 3;
const LONG: i8 = 5;
const LIST: i8 = 7;

/// Where a value comes from, as the protocol numbers it.
const SET_ON_TOPIC: i8 = 1;
pub(crate) const DEFAULT: i8 = 5;

/// Keeps the topic in memory, for as long as the process lives.
const CLASS: &str = "fairlead.class";

/// Everything that can be set. What is not here, or has another value than allowed, is refused:
/// accepted and not done would be worse.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        name: "cleanup.policy",
        default: "delete",
        type_code: LIST,
        allows: |value| value == "delete",
    },
    Setting {
        name: "compression.type",
        default: "producer",
        type_code: STRING,
        allows: |value| value == "producer",
    },
    Setting {
        name: CLASS,
        default: "local",
        type_code: STRING,
        allows: |value| matches!(value, "local" | "memory"),
    },
    Setting {
        name: "max.message.bytes",
        default: "16777216",
        type_code: INT,
        allows: is_number,
    },
    Setting {
        name: "message.timestamp.type",
        default: "CreateTime",
        type_code: STRING,
        allows: |value| value == "CreateTime",
    },
    Setting {
        name: "min.insync.replicas",
        default: "1",
        type_code: INT,
        allows: |value| value == "1",
    },
    // The least that is kept: nothing is removed before, and more may be kept.
    Setting {
        name: "retention.bytes",
        default: "-1",
        type_code: LONG,
        allows: is_number,
    },
    Setting {
        name: "retention.ms",
        default: "-1",
        type_code: LONG,
        allows: is_number,
    },
];

fn is_number(value: &str) -> bool {
    value.parse::<i64>().is_ok_and(|number| number >= -1)
}

/// What was set for a topic, in the order of [`SETTINGS`].
#[derive(Debug, Default)]
pub(crate) struct Config(Vec<(&'static Setting, String)>);

/// Version of the document.
const VERSION: u8 = 1;

impl Config {
    /// Sets one; a null value is the default.
    pub(crate) fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), Refusal> {
        let refuse = |why: String| Err(Refusal::new(errors::INVALID_CONFIG, why));
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
            return refuse(format!("{name} is not a setting that is known here"));
        };
        let Some(value) = value else { return Ok(()) };
        if !(setting.allows)(value) {
            return refuse(format!("{name} cannot be {value:?} here"));
        }
        self.0.push((setting, value.to_owned()));
        Ok(())
    }

    /// What was set for this one, if anything.
    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(setting, _)| setting.name == name)
            .map(|(_, value)| &**value)
    }

    /// Its value, and where that comes from: [`SET_ON_TOPIC`] or [`DEFAULT`].
    pub(crate) fn shown(&self, setting: &Setting) -> (&str, i8) {
        match self.get(setting.name) {
            Some(value) => (value, SET_ON_TOPIC),
            None => (setting.default, DEFAULT),
        }
    }

    pub(crate) fn is_in_memory(&self) -> bool {
        self.get(CLASS) == Some("memory")
    }

    /// The document: a version byte, then a line per setting.
    pub(crate) fn encode(&self) -> Bytes {
        if self.0.is_empty() {
            return Bytes::new();
        }
        let mut document = BytesMut::new();
        document.put_u8(VERSION);
        for (setting, value) in &self.0 {
            document.put_slice(format!("{}={value}\n", setting.name).as_bytes());
        }
        document.freeze()
    }

    /// What a document says; a setting that is no longer known is left out.
    pub(crate) fn decode(document: &[u8]) -> Self {
        let mut config = Self::default();
        let lines = match document.split_first() {
            Some((&VERSION, lines)) => std::str::from_utf8(lines).unwrap_or_default(),
            Some(_) | None => "",
        };
        for (name, value) in lines.lines().filter_map(|line| line.split_once('=')) {
            if let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) {
                config.0.push((setting, value.to_owned()));
            }
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_is_read_back_and_the_rest_has_its_default() {
        let mut config = Config::default();
        config.set("retention.ms", Some("60000")).unwrap();
        config.set(CLASS, Some("memory")).unwrap();
        config.set("cleanup.policy", None).unwrap();
        let config = Config::decode(&config.encode());
        assert_eq!(config.get("retention.ms"), Some("60000"));
        assert_eq!(config.get("cleanup.policy"), None);
        assert!(config.is_in_memory());
        assert!(!Config::decode(b"").is_in_memory());
    }

    #[test]
    fn what_is_not_done_is_refused() {
        let mut config = Config::default();
        assert!(config.set("cleanup.policy", Some("compact")).is_err());
        assert!(config.set("no.such.setting", Some("1")).is_err());
        assert!(config.set("retention.ms", Some("-2")).is_err());
    }
}
