//! What can be set for this protocol, per listener.

use std::collections::BTreeMap;

use fairlead_canon::Text;
use fairlead_kernel::{BadSetting, NewStream};

/// Settings of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Host and port that clients are told; `None`: the address they connected to.
    pub(crate) advertised: Option<(Text, u16)>,
    /// Partitions of a topic whose creator does not say.
    pub(crate) partitions: u32,
    /// Whether asking for a topic makes it.
    pub(crate) creates_topics: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            advertised: None,
            partitions: 1,
            creates_topics: true,
        }
    }
}

impl Settings {
    /// Reads them from words; what is not said has its default.
    pub(crate) fn read(words: &BTreeMap<String, String>) -> Result<Self, BadSetting> {
        let mut settings = Self::default();
        for (key, value) in words {
            let bad = |why| BadSetting {
                key: key.clone(),
                why,
            };
            match key.as_str() {
                "advertised" => {
                    let address = host_and_port(value);
                    settings.advertised = Some(address.ok_or(bad("is not HOST:PORT"))?);
                }
                "partitions" => {
                    let number = value.parse().ok();
                    let number = number.filter(|n| (1..=NewStream::LANES_MAX).contains(n));
                    settings.partitions = number.ok_or(bad("is not a number from 1 to 10000"))?;
                }
                "creates_topics" => {
                    let said = value.parse().ok();
                    settings.creates_topics = said.ok_or(bad("is neither true nor false"))?;
                }
                _ => return Err(bad("is not advertised, partitions or creates_topics")),
            }
        }
        Ok(settings)
    }
}

/// An address of IPv6 stands in brackets, which clients do not want to see.
fn host_and_port(text: &str) -> Option<(Text, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    let is_clear = !host.is_empty() && (bare.is_some() || !host.contains(':'));
    let port = port.parse().ok()?;
    is_clear.then(|| (Text::from(host.to_owned()), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: &str, value: &str) -> Result<Settings, BadSetting> {
        Settings::read(&BTreeMap::from([(key.to_owned(), value.to_owned())]))
    }

    #[test]
    fn an_advertised_address_is_a_host_and_a_port() {
        for (said, host) in [
            ("kafka.example:9092", "kafka.example"),
            ("[::1]:9092", "::1"),
        ] {
            let advertised = read("advertised", said).unwrap().advertised;
            assert_eq!(advertised, Some((Text::from(host.to_owned()), 9092)));
        }
        for bad in [
            "kafka.example",
            ":9092",
            "::1:9092",
            "host:0x",
            "host:70000",
        ] {
            assert!(read("advertised", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_and_switches_have_bounds_and_other_words_are_refused() {
        assert_eq!(read("partitions", "10000").unwrap().partitions, 10_000);
        assert!(!read("creates_topics", "false").unwrap().creates_topics);
        for (key, value) in [
            ("partitions", "0"),
            ("partitions", "10001"),
            ("creates_topics", "no"),
        ] {
            assert_eq!(read(key, value).unwrap_err().key, key);
        }
        assert!(read("retention", "1").is_err());
    }
}
