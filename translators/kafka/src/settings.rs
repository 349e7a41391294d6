//! What can be set for this protocol.

use fairlead_canon::Text;

/// Settings of the translator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Host and port that clients are told; `None`: the address they connected to.
    pub advertised: Option<(Text, i32)>,
    /// Partitions of a topic whose creator does not say.
    pub partitions: u32,
    /// Whether asking for a topic makes it.
    pub creates_topics: bool,
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
