//! Small values beside the messages.

use std::fmt::Debug;

use bytes::Bytes;
use fairlead_canon::Timestamp;

use super::StoreError;
use crate::BoxFuture;

/// Small values that change together with messages.
pub trait Documents: Debug + Send + Sync {
    /// The document under a key.
    fn get(&self, space: Space, key: Bytes) -> BoxFuture<'_, Result<Option<Document>, StoreError>>;
    /// Documents whose key begins with `prefix` and comes after `after`, in key order.
    fn list(
        &self,
        space: Space,
        prefix: Bytes,
        after: Option<Bytes>,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Document>, StoreError>>;
    /// Documents that are due, earliest first.
    fn due(&self, now: Timestamp, max: usize) -> BoxFuture<'_, Result<Vec<Document>, StoreError>>;
}

/// A small value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// Changes with each write; never 0.
    pub version: Version,
    /// When it is due.
    pub due: Option<Timestamp>,
}

/// A name space of documents. The last one belongs to stores that are made of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Space(pub u16);

/// Version of a document: the LSN of its last write; 0 is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);
