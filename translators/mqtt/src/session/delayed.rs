//! `$delayed/<seconds>/<topic>`: a PUBLISH that takes effect later.

use std::time::Duration;

use fairlead_canon::Text;

const ROOT: &str = "$delayed/";

/// What a topic says of the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Nothing.
    Now,
    /// To that topic, after that time.
    Later(Duration, Text),
    /// It begins like a delayed one and is none.
    Never,
}

/// Reads a topic name.
pub(super) fn read(topic: &Text) -> When {
    let Some(rest) = topic.strip_prefix(ROOT) else {
        return When::Now;
    };
    let parts = rest.split_once('/').filter(|(_, to)| !to.is_empty());
    let parsed = parts.and_then(|(seconds, to)| Some((seconds.parse::<u32>().ok()?, to)));
    match parsed {
        Some((seconds, to)) => When::Later(
            Duration::from_secs(seconds.into()),
            Text::from(to.to_owned()),
        ),
        None => When::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_a_whole_number_of_seconds_before_a_topic() {
        let read = |text: &'static str| read(&Text::from_static(text));
        assert_eq!(read("a/b"), When::Now);
        let later = When::Later(Duration::from_secs(5), Text::from_static("a/b"));
        assert_eq!(read("$delayed/5/a/b"), later);
        let longest = Duration::from_secs(u32::MAX.into());
        let later = When::Later(longest, Text::from_static("a"));
        assert_eq!(read("$delayed/4294967295/a"), later);
        for wrong in [
            "$delayed/",
            "$delayed/5",
            "$delayed/5/",
            "$delayed/4294967296/a",
            "$delayed/-1/a",
            "$delayed/x/a",
        ] {
            assert_eq!(read(wrong), When::Never, "{wrong}");
        }
    }
}
