//! A store that says of itself what it is told to say.

use std::sync::{Arc, OnceLock};

use fairlead_ports::{Condition, Watcher};

use super::Manner;

/// The condition is what a test says; well, until it says something.
#[derive(Debug, Default)]
pub struct Moody(OnceLock<Arc<dyn Watcher>>);

impl Moody {
    /// Tells whoever watches that the store is so from now on.
    pub fn say(&self, condition: Condition) {
        if let Some(watcher) = self.0.get() {
            watcher.condition(condition);
        }
    }
}

impl Manner for Moody {
    fn watched_by(&self, watcher: &Arc<dyn Watcher>) {
        self.0.get_or_init(|| Arc::clone(watcher));
    }
}
