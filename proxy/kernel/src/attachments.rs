//! The attachments of one caller.

use smallvec::SmallVec;

use crate::AttachmentId;
use crate::consume::Attached;

/// In the order of their numbers, which only grow. A list, since most callers have one or two: a map
/// would take room for eleven.
#[derive(Debug, Default)]
pub(crate) struct Attachments(SmallVec<[(AttachmentId, Attached); 1]>);

impl Attachments {
    pub(crate) fn get(&self, id: AttachmentId) -> Option<&Attached> {
        let place = self.place(id).ok()?;
        self.0.get(place).map(|(_, attached)| attached)
    }

    pub(crate) fn get_mut(&mut self, id: AttachmentId) -> Option<&mut Attached> {
        let place = self.place(id).ok()?;
        self.0.get_mut(place).map(|(_, attached)| attached)
    }

    /// Adds one whose number is new.
    pub(crate) fn insert(&mut self, id: AttachmentId, attached: Attached) {
        match self.place(id) {
            Ok(_) => debug_assert!(false, "a number is given once"),
            Err(place) => self.0.insert(place, (id, attached)),
        }
    }

    pub(crate) fn remove(&mut self, id: AttachmentId) -> Option<Attached> {
        let place = self.place(id).ok()?;
        Some(self.0.remove(place).1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (AttachmentId, &Attached)> {
        self.0.iter().map(|(id, attached)| (*id, attached))
    }

    /// All numbers, for a loop that changes them.
    pub(crate) fn ids(&self) -> SmallVec<[AttachmentId; 4]> {
        self.0.iter().map(|(id, _)| *id).collect()
    }

    fn place(&self, id: AttachmentId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |(id, _)| *id)
    }
}
