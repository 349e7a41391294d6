//! What can be set for this protocol, per listener.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use fairlead_canon::Text;
use fairlead_kernel::{BadSetting, ComingMax};

use crate::PACKET_BYTES_MAX;
use crate::rewrite::Rules;

/// Settings of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Where clients are sent when this process goes away.
    pub(crate) server_reference: Option<Text>,
    /// Where clients of this listener are to go from now on; nobody is served here any more.
    pub(crate) moved_to: Option<Text>,
    /// Under which topic a client that asks may expect answers: its identifier follows.
    pub(crate) response_topics: Option<Text>,
    /// The largest packet that is accepted.
    pub(crate) packet_bytes_max: usize,
    /// PUBLISH packets of QoS 1 and 2 that may be unanswered, in each direction.
    pub(crate) receive_maximum: u16,
    /// The longest keep alive; with one, a client cannot do without.
    pub(crate) keep_alive_max: Option<u16>,
    /// The longest that a session outlives its connection, in seconds.
    pub(crate) session_expiry_max: Option<u32>,
    /// Most messages that wait for one client. Beyond it the oldest make room.
    pub(crate) queue_messages_max: u64,
    /// Most bytes that wait for one client that may stay away; they lie on disk.
    pub(crate) queue_bytes_max: u64,
    /// What one client may publish in a second; a faster one is not read from.
    pub(crate) publish_rate: Option<Rate>,
    /// How often a client may connect, if that is limited.
    pub(crate) connects: Option<ComingMax>,
    /// Groups of shared subscriptions in which one member has all messages until it leaves.
    pub(crate) sticky_groups: Groups,
    /// What topics are called here.
    pub(crate) rewrite: Rules,
    /// Whether a payload that says that it is text has to be.
    pub(crate) checks_payload: bool,
    /// Whether a retained message is held back while who published it may not publish there.
    pub(crate) checks_retain_source: bool,
    /// Between two reports of how the server is.
    pub(crate) sys_interval: Duration,
}

/// So many messages in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) u32);

/// Names of groups; `*` is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Groups(Vec<String>);

impl Groups {
    fn read(lines: &str) -> Result<Self, &'static str> {
        let names: Vec<String> = lines.lines().map(str::to_owned).collect();
        let is_name = |name: &String| !name.is_empty() && !name.contains(['/', '+', '#']);
        let are_names = names.iter().all(is_name);
        are_names
            .then_some(Self(names))
            .ok_or("is not the name of a group")
    }

    pub(crate) fn has(&self, group: &str) -> bool {
        self.0.iter().any(|name| name == group || name == "*")
    }
}

/// In MQTT 5 the client is told; in 3.1.1 it is not read from until some are answered.
const RECEIVE_MAX: u16 = 1024;

impl Default for Settings {
    fn default() -> Self {
        Self {
            server_reference: None,
            moved_to: None,
            response_topics: None,
            packet_bytes_max: PACKET_BYTES_MAX,
            receive_maximum: RECEIVE_MAX,
            keep_alive_max: None,
            session_expiry_max: None,
            queue_messages_max: 1_000_000,
            queue_bytes_max: 4 << 30,
            publish_rate: None,
            connects: None,
            sticky_groups: Groups::default(),
            rewrite: Rules::default(),
            checks_payload: false,
            checks_retain_source: true,
            sys_interval: SYS_INTERVAL,
        }
    }
}

impl Settings {
    /// Reads them from words; what is not said has its default.
    pub(crate) fn read(words: &BTreeMap<String, String>) -> Result<Self, BadSetting> {
        let mut settings = Self::default();
        for (key, value) in words {
            settings.set(key, value).map_err(|why| BadSetting {
                key: key.clone(),
                why,
            })?;
        }
        Ok(settings)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        match key {
            "server_reference" => self.server_reference = Some(short(value)?),
            "moved_to" => self.moved_to = Some(short(value)?),
            "response_topics" => self.response_topics = Some(topic(value)?),
            "packet_bytes_max" => {
                let bytes = number(value, PACKET_BYTES)?;
                self.packet_bytes_max = usize::try_from(bytes).map_err(|_large| TOO_LARGE)?;
            }
            "receive_maximum" => self.receive_maximum = number(value, 1..=RECEIVE_MAX)?,
            "keep_alive_max" => self.keep_alive_max = Some(number(value, 1..=u16::MAX)?),
            "session_expiry_max" => self.session_expiry_max = Some(number(value, 0..=u32::MAX)?),
            "queue_messages_max" => self.queue_messages_max = number(value, 1..=1 << 32)?,
            "queue_bytes_max" => self.queue_bytes_max = number(value, QUEUE_BYTES)?,
            "publish_rate" => self.publish_rate = Some(Rate(number(value, 1..=1_000_000)?)),
            "connects_max" => self.limit_connects().count = number(value, 1..=1_000_000)?,
            "connects_seconds" => self.limit_connects().within = seconds(value)?,
            "ban_seconds" => self.limit_connects().ban = seconds(value)?,
            "sticky_groups" => self.sticky_groups = Groups::read(value)?,
            "rewrite" => self.rewrite = value.parse()?,
            "checks_payload" => self.checks_payload = flag(value)?,
            "checks_retain_source" => self.checks_retain_source = flag(value)?,
            "sys_interval" => self.sys_interval = seconds(value)?,
            _ => return Err("is no setting of this protocol"),
        }
        Ok(())
    }
}

impl Settings {
    fn limit_connects(&mut self) -> &mut ComingMax {
        self.connects.get_or_insert(CONNECTS)
    }
}

/// As often as a client connects whose network is poor and whose own pauses are short.
const CONNECTS: ComingMax = ComingMax {
    count: 15,
    within: Duration::from_secs(60),
    ban: Duration::from_secs(300),
};

/// As mosquitto has it.
const SYS_INTERVAL: Duration = Duration::from_secs(10);

/// A day, beyond which nothing is remembered.
fn seconds(value: &str) -> Result<Duration, &'static str> {
    number(value, 1..=86_400).map(Duration::from_secs)
}

/// Small enough for a device, large enough for any CONNECT that a client sends.
const PACKET_BYTES: RangeInclusive<u64> = 1024..=PACKET_BYTES_MAX as u64;

/// Below it one large message empties the queue.
const QUEUE_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 44;

const TOO_LARGE: &str = "is out of bounds";

fn number<N: std::str::FromStr + PartialOrd>(
    value: &str,
    bounds: RangeInclusive<N>,
) -> Result<N, &'static str> {
    let number = value.parse().map_err(|_text| "is not a whole number")?;
    bounds.contains(&number).then_some(number).ok_or(TOO_LARGE)
}

fn flag(value: &str) -> Result<bool, &'static str> {
    value.parse().map_err(|_word| "is neither true nor false")
}

/// It goes into packets that even a small client has to take.
fn short(value: &str) -> Result<Text, &'static str> {
    let is_short = !value.is_empty() && value.len() <= 256;
    let text = is_short.then(|| Text::from(value.to_owned()));
    text.ok_or("has 1 to 256 bytes")
}

fn topic(value: &str) -> Result<Text, &'static str> {
    let is_topic = !value.contains(['+', '#', '\0']);
    is_topic.then_some(()).ok_or("is not a topic")?;
    short(value)
}

impl Rate {
    /// The time that one message takes.
    pub(crate) fn each(self) -> Duration {
        Duration::from_secs(1) / self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: &str, value: &str) -> Result<Settings, BadSetting> {
        Settings::read(&BTreeMap::from([(key.to_owned(), value.to_owned())]))
    }

    #[test]
    fn numbers_hold_at_their_limits_and_fail_one_past_them() {
        for (key, least, most) in [
            ("packet_bytes_max", 1024, PACKET_BYTES_MAX as u64),
            ("receive_maximum", 1, 1024),
            ("keep_alive_max", 1, 65_535),
            ("queue_messages_max", 1, 1 << 32),
            ("queue_bytes_max", 1 << 20, 1 << 44),
            ("publish_rate", 1, 1_000_000),
            ("connects_max", 1, 1_000_000),
            ("connects_seconds", 1, 86_400),
            ("ban_seconds", 1, 86_400),
            ("sys_interval", 1, 86_400),
        ] {
            for good in [least, most] {
                assert!(read(key, &good.to_string()).is_ok(), "{key} {good}");
            }
            for bad in [least - 1, most + 1] {
                let refused = read(key, &bad.to_string()).unwrap_err();
                assert_eq!(refused.key, key);
            }
        }
    }

    #[test]
    fn a_topic_for_answers_has_no_wildcard_and_other_words_are_refused() {
        let settings = read("response_topics", "replies").unwrap();
        assert_eq!(settings.response_topics.as_deref(), Some("replies"));
        assert!(read("response_topics", "replies/#").is_err());
        for key in ["server_reference", "moved_to"] {
            assert!(read(key, &"s".repeat(256)).is_ok());
            assert!(read(key, &"s".repeat(257)).is_err() && read(key, "").is_err());
        }
        assert!(read("colour", "blue").is_err());
        for key in ["checks_payload", "checks_retain_source"] {
            assert!(read(key, "true").is_ok() && read(key, "false").is_ok());
            assert!(read(key, "yes").is_err() && read(key, "").is_err());
        }
    }
}
