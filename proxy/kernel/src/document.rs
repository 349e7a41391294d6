//! A translator's own documents: small values in its own name space.

use bytes::Bytes;
use fairlead_canon::Promise;
use fairlead_ports::{Document, Unit};

use crate::publish::documents;
use crate::verb::PutDocument;
use crate::{Caller, Error};

impl Caller {
    /// The document under a key.
    pub async fn document(&self, key: Bytes) -> Result<Option<Document>, Error> {
        Ok(self.kernel.backing.documents.get(self.space, key).await?)
    }

    /// Documents whose key begins with `prefix` and comes after `after`, in key order.
    pub async fn documents(
        &self,
        prefix: Bytes,
        after: Option<Bytes>,
        max: usize,
    ) -> Result<Vec<Document>, Error> {
        Ok(self
            .kernel
            .backing
            .documents
            .list(self.space, prefix, after, max)
            .await?)
    }

    /// Writes documents, all or none; durable on return. `Conflict` when one has another version
    /// than expected.
    pub async fn put_documents(&self, puts: Vec<PutDocument>) -> Result<(), Error> {
        let ops = documents(self.space, puts);
        self.kernel
            .commit_one(Unit {
                ops,
                promise: Promise::Durable,
            })
            .await
    }
}
