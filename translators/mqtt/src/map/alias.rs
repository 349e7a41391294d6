//! Topic aliases towards a client that takes them.

use fairlead_canon::Text;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// The aliases that topics were given on one connection: first come, first served, and for good.
#[derive(Debug)]
pub(super) struct Aliases {
    given: HashMap<Text, u16, RandomState>,
    max: u16,
}

/// How a PUBLISH names its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alias {
    /// By this alias alone.
    Known(u16),
    /// In full, with this alias for the next time.
    New(u16),
}

/// Topics with an alias: enough for what a reader hears again and again.
const ALIASES_MAX: u16 = 64;

/// An alias takes as many bytes.
const TOPIC_BYTES_MIN: usize = 4;

impl Aliases {
    /// For a client that takes so many; none for one that takes none.
    pub(super) fn up_to(max: u16) -> Option<Box<Self>> {
        //= MQTT-3.1.2-26: no more than the client takes, and
        //= MQTT-3.1.2-27: none where it did not say.
        let max = max.min(ALIASES_MAX);
        let given = HashMap::default();
        (max > 0).then(|| Box::new(Self { given, max }))
    }

    /// The alias of a topic, if it has or gets one.
    pub(super) fn of(&mut self, topic: &Text) -> Option<Alias> {
        if let Some(alias) = self.given.get(topic) {
            return Some(Alias::Known(*alias));
        }
        let next = u16::try_from(self.given.len()).ok()? + 1;
        if next > self.max || topic.len() < TOPIC_BYTES_MIN {
            return None;
        }
        self.given.insert(topic.clone(), next);
        Some(Alias::New(next))
    }

    /// The PUBLISH that said this topic's new alias was not sent.
    pub(super) fn take_back(&mut self, topic: &Text) {
        self.given.remove(topic);
    }
}
