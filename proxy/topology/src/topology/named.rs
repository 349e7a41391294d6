//! Streams by their names.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::{Stream, StreamKey};

/// A stream as the key under which it lies: its name is kept once.
#[derive(Debug)]
pub(super) struct Named(pub(super) Arc<Stream>);

impl Borrow<StreamKey> for Named {
    fn borrow(&self) -> &StreamKey {
        &self.0.key
    }
}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for Named {}
