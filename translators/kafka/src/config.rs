//! Settings of one topic: what was set, the document that keeps it, and what follows from it.

mod table;

use bytes::{BufMut, Bytes, BytesMut};
use fairlead_canon::{Class, Compaction, Retention, SyncMode};
use fairlead_kernel::Settings;

use crate::errors::{self, Refusal};
use table::{
    BATCH_BYTES, CLASS, CLEANUP, DELETES_KEPT, LAG_MIN, LIST, RETENTION_BYTES, RETENTION_MS, SYNC,
    TIME_TYPE,
};
pub(crate) use table::{SETTINGS, Setting};

/// Where a value comes from, as the protocol numbers it.
pub(crate) const SET_ON_TOPIC: i8 = 1;
pub(crate) const DEFAULT: i8 = 5;

/// What was set for a topic; each setting at most once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config(Vec<(&'static Setting, String)>);

/// What is done to a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit<'a> {
    /// It has this value.
    Set(&'a str),
    /// It has its default.
    Reset,
    /// These words are added to its list.
    Add(&'a str),
    /// These words are taken from its list.
    Take(&'a str),
}

/// What a produce has to know of its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// The longest batch.
    pub(crate) batch_bytes_max: usize,
    /// Every record needs a key, and the store is told of it.
    pub(crate) is_compacted: bool,
    /// Records show when they came, not when they were made.
    pub(crate) shows_arrival: bool,
}

/// Version of the document.
const VERSION: u8 = 1;

impl Config {
    /// Changes one setting.
    pub(crate) fn edit(&mut self, name: &str, edit: Edit<'_>) -> Result<(), Refusal> {
        let refuse = |why: String| Err(Refusal::new(errors::INVALID_CONFIG, why));
        let Some(setting) = table::find(name) else {
            return refuse(format!("{name} is not a setting that is known here"));
        };
        let value = match edit {
            Edit::Set(value) => value.to_owned(),
            Edit::Reset => {
                self.0.retain(|(set, _)| set.name != name);
                return Ok(());
            }
            Edit::Add(_) | Edit::Take(_) if setting.type_code != LIST => {
                return refuse(format!("{name} is no list"));
            }
            Edit::Add(more) => {
                let held = table::words(self.value(setting));
                let more = table::words(more).filter(|word| !held.clone().any(|w| w == *word));
                held.clone().chain(more).collect::<Vec<_>>().join(",")
            }
            Edit::Take(less) => {
                let held = table::words(self.value(setting));
                let left = held.filter(|word| !table::words(less).any(|w| w == *word));
                left.collect::<Vec<_>>().join(",")
            }
        };
        if !(setting.allows)(&value) {
            return refuse(format!("{name} cannot be {value:?} here"));
        }
        self.0.retain(|(set, _)| set.name != name);
        self.0.push((setting, value));
        Ok(())
    }

    /// Sets one; a null value is the default.
    pub(crate) fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), Refusal> {
        self.edit(name, value.map_or(Edit::Reset, Edit::Set))
    }

    /// What was set for this one, if anything.
    pub(crate) fn get(&self, setting: &Setting) -> Option<&str> {
        let mut set = self.0.iter();
        let found = set.find(|(set, _)| set.name == setting.name);
        found.map(|(_, value)| &**value)
    }

    /// Its value.
    pub(crate) fn value(&self, setting: &Setting) -> &str {
        self.get(setting).unwrap_or(setting.default)
    }

    /// Where its value comes from, as the protocol numbers it.
    pub(crate) fn source(&self, setting: &Setting) -> i8 {
        self.get(setting).map_or(DEFAULT, |_| SET_ON_TOPIC)
    }

    /// What the stream of the topic is told.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            sync: self.sync(),
            retention: self.retention(),
            compaction: self.compaction(),
            ..Settings::default()
        }
    }

    fn named(&self, name: &str) -> &str {
        table::find(name).map_or("", |setting| self.value(setting))
    }

    /// A number; `None` when it is below zero, which means without end.
    fn number(&self, name: &str) -> Option<u64> {
        self.named(name).parse().ok()
    }

    /// Where it is kept.
    pub(crate) fn class(&self) -> Class {
        match self.named(CLASS) {
            "memory" => Class::Memory,
            "object" => Class::Object,
            _ => Class::Local,
        }
    }

    /// When a batch counts as kept.
    fn sync(&self) -> SyncMode {
        match self.named(SYNC) {
            "interval" => SyncMode::Interval,
            _ => SyncMode::Always,
        }
    }

    /// What goes with time and size; nothing, unless old records are to be deleted at all.
    pub(crate) fn retention(&self) -> Retention {
        if !table::words(self.named(CLEANUP)).any(|word| word == "delete") {
            return Retention::default();
        }
        Retention {
            age_ms: self.number(RETENTION_MS),
            bytes: self.number(RETENTION_BYTES),
        }
    }

    /// Whether only the newest record of each key stays.
    pub(crate) fn compaction(&self) -> Option<Compaction> {
        let mut policies = table::words(self.named(CLEANUP));
        policies.any(|word| word == "compact").then(|| Compaction {
            lag_min_ms: self.number(LAG_MIN).unwrap_or(0),
            deletes_kept_ms: self.number(DELETES_KEPT).unwrap_or(0),
        })
    }

    pub(crate) fn rules(&self) -> Rules {
        Rules {
            batch_bytes_max: self.named(BATCH_BYTES).parse().unwrap_or(usize::MAX),
            is_compacted: self.compaction().is_some(),
            shows_arrival: self.named(TIME_TYPE) == "LogAppendTime",
        }
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
            if let Some(setting) = table::find(name) {
                config.0.push((setting, value.to_owned()));
            }
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[(&str, &str)]) -> Config {
        let mut config = Config::default();
        for (name, value) in settings {
            config.set(name, Some(value)).unwrap();
        }
        config
    }

    #[test]
    fn what_was_set_is_read_back_and_the_rest_has_its_default() {
        assert_eq!(config(&[(CLASS, "object")]).class(), Class::Object);
        let mut config = config(&[(RETENTION_MS, "60000"), (CLASS, "memory")]);
        config.set(CLEANUP, None).unwrap();
        let config = Config::decode(&config.encode());
        assert_eq!(config.named(RETENTION_MS), "60000");
        assert_eq!(config.get(table::find(CLEANUP).unwrap()), None);
        assert_eq!(config.class(), Class::Memory);
        assert_eq!(Config::decode(b"").class(), Class::Local);
    }

    #[test]
    fn what_is_not_done_is_refused() {
        let mut config = Config::default();
        for (name, value) in [
            (CLEANUP, "archive"),
            (CLEANUP, ""),
            ("no.such.setting", "1"),
            (RETENTION_MS, "-2"),
            (LAG_MIN, "-1"),
            (BATCH_BYTES, "16777217"),
            ("compression.type", "zstd"),
            ("min.insync.replicas", "2"),
        ] {
            assert!(config.set(name, Some(value)).is_err(), "{name}={value}");
        }
    }

    #[test]
    fn the_default_of_every_setting_is_a_value_that_it_allows() {
        for setting in SETTINGS {
            assert!((setting.allows)(setting.default), "{}", setting.name);
        }
        assert!(SETTINGS.is_sorted_by_key(|setting| setting.name));
    }

    #[test]
    fn a_topic_that_is_only_compacted_forgets_nothing_by_age() {
        let keeps = [(RETENTION_MS, "5"), (RETENTION_BYTES, "6")];
        let mut config = config(&keeps);
        let both = Retention {
            age_ms: Some(5),
            bytes: Some(6),
        };
        assert_eq!((config.retention(), config.compaction()), (both, None));
        config.edit(CLEANUP, Edit::Add("compact")).unwrap();
        assert_eq!(config.named(CLEANUP), "delete,compact");
        assert_eq!(config.retention(), both);
        config.edit(CLEANUP, Edit::Take("delete")).unwrap();
        assert_eq!(config.retention(), Retention::default());
        let compaction = Compaction {
            lag_min_ms: 0,
            deletes_kept_ms: 86_400_000,
        };
        assert_eq!(config.compaction(), Some(compaction));
    }

    #[test]
    fn only_lists_are_added_to_and_no_list_is_left_empty() {
        let mut config = Config::default();
        assert!(config.edit(RETENTION_MS, Edit::Add("1")).is_err());
        assert!(config.edit(CLEANUP, Edit::Take("delete")).is_err());
        config.edit(CLEANUP, Edit::Add("delete")).unwrap();
        assert_eq!(config.named(CLEANUP), "delete");
    }
}
