//! Everything that a topic can be told, and which values it takes.
//!
//! What is not here, or has another value than allowed, is refused: accepted and not done would be
//! worse. Settings without an effect are here only when nobody can observe the difference: they tune
//! files and segments that do not exist.

use fairlead_canon::limits::BODY_BYTES_MAX;

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    /// Number of its type in DescribeConfigs.
    pub(crate) type_code: i8,
    pub(super) allows: fn(&str) -> bool,
}

const BOOLEAN: i8 = 1;
const STRING: i8 = 2;
const INT: i8 = 3;
const LONG: i8 = 5;
const DOUBLE: i8 = 6;
/// A list of words, the one type that can be added to and taken from.
pub(super) const LIST: i8 = 7;

pub(super) const CLEANUP: &str = "cleanup.policy";
pub(super) const DELETES_KEPT: &str = "delete.retention.ms";
/// Where the topic is kept: in memory for as long as the process lives, on the disk, or in the node's
/// object store with the disk in front of it.
pub(super) const CLASS: &str = "fairlead.class";
/// When a batch counts as kept: after a sync, or after the write with a sync soon after.
pub(super) const SYNC: &str = "fairlead.sync";
pub(super) const BATCH_BYTES: &str = "max.message.bytes";
pub(super) const TIME_TYPE: &str = "message.timestamp.type";
pub(super) const LAG_MIN: &str = "min.compaction.lag.ms";
pub(super) const RETENTION_BYTES: &str = "retention.bytes";
pub(super) const RETENTION_MS: &str = "retention.ms";

/// In the order of their names.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting::new(CLEANUP, "delete", LIST, is_policy),
    Setting::new("compression.type", "producer", STRING, |value| {
        value == "producer"
    }),
    Setting::new(DELETES_KEPT, "86400000", LONG, is_count),
    Setting::new(CLASS, "local", STRING, |value| {
        matches!(value, "local" | "memory" | "object")
    }),
    Setting::new(SYNC, "always", STRING, |value| {
        matches!(value, "always" | "interval")
    }),
    Setting::new("file.delete.delay.ms", "60000", LONG, is_count),
    Setting::new("flush.messages", "9223372036854775807", LONG, is_count),
    Setting::new("flush.ms", "9223372036854775807", LONG, is_count),
    Setting::new("index.interval.bytes", "4096", INT, is_count),
    Setting::new(BATCH_BYTES, "16777216", INT, |value| {
        value
            .parse()
            .is_ok_and(|bytes: usize| bytes <= BODY_BYTES_MAX)
    }),
    Setting::new(TIME_TYPE, "CreateTime", STRING, |value| {
        matches!(value, "CreateTime" | "LogAppendTime")
    }),
    Setting::new("min.cleanable.dirty.ratio", "0.5", DOUBLE, |value| {
        value
            .parse()
            .is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio))
    }),
    Setting::new(LAG_MIN, "0", LONG, is_count),
    Setting::new("min.insync.replicas", "1", INT, |value| value == "1"),
    Setting::new("preallocate", "false", BOOLEAN, is_switch),
    Setting::new(RETENTION_BYTES, "-1", LONG, is_count_or_none),
    Setting::new(RETENTION_MS, "-1", LONG, is_count_or_none),
    Setting::new("segment.bytes", "1073741824", INT, is_count),
    Setting::new("segment.index.bytes", "10485760", INT, is_count),
    Setting::new("segment.jitter.ms", "0", LONG, is_count),
    Setting::new("segment.ms", "604800000", LONG, is_count),
    Setting::new(
        "unclean.leader.election.enable",
        "false",
        BOOLEAN,
        is_switch,
    ),
];

impl Setting {
    const fn new(
        name: &'static str,
        default: &'static str,
        type_code: i8,
        allows: fn(&str) -> bool,
    ) -> Self {
        Self {
            name,
            default,
            type_code,
            allows,
        }
    }
}

pub(super) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The words of a list.
pub(super) fn words(value: &str) -> impl Iterator<Item = &str> + Clone {
    value
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

fn is_policy(value: &str) -> bool {
    words(value).next().is_some() && words(value).all(|word| matches!(word, "delete" | "compact"))
}

fn is_count(value: &str) -> bool {
    value.parse::<i64>().is_ok_and(|number| number >= 0)
}

fn is_count_or_none(value: &str) -> bool {
    value.parse::<i64>().is_ok_and(|number| number >= -1)
}

fn is_switch(value: &str) -> bool {
    matches!(value, "true" | "false")
}
