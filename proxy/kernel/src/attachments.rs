//! The attachments of one caller.

use fairlead_delivery::MemberId;
use smallvec::SmallVec;

use crate::consume::Attached;
use crate::{AttachmentId, Caller, Error, Reason};

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

impl AttachmentId {
    /// The last one of a caller: behind it a member's number has no room for it.
    const LAST: u32 = (1 << 24) - 1;

    /// The attachment that is this member of a queue: the inverse of [`Caller::member`].
    pub(crate) fn of(member: MemberId) -> Self {
        // No more than the last one, which fits.
        Self(u32::try_from(member.0 & u64::from(Self::LAST)).unwrap_or(Self::LAST))
    }
}

impl Caller {
    /// A number for one more attachment; an error when this caller has had all that there are.
    pub(crate) fn next_attachment(&mut self) -> Result<AttachmentId, Error> {
        if self.last_attachment >= AttachmentId::LAST {
            return Err(Error::peer(
                Reason::Full,
                "a connection attaches 16,777,215 times at most",
            ));
        }
        self.last_attachment += 1;
        Ok(AttachmentId(self.last_attachment))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fairlead_memory::Memory;

    use super::*;
    use crate::testing::{ManualClock, kernel};

    #[tokio::test]
    async fn a_member_tells_its_attachment_up_to_the_last_one_and_there_are_no_more() {
        let store = Arc::new(Memory::new(1 << 20));
        let kernel = kernel(store, Arc::new(ManualClock::at(1))).await.unwrap();
        let mut caller = kernel.operator().unwrap();
        caller.id = u64::MAX >> 24;
        caller.last_attachment = AttachmentId::LAST - 1;
        let last = caller.next_attachment().unwrap();
        assert_eq!(last.0, AttachmentId::LAST);
        assert_eq!(AttachmentId::of(caller.member(last)), last);
        let first = AttachmentId(1);
        assert_eq!(AttachmentId::of(caller.member(first)), first);
        let refused = caller.next_attachment().unwrap_err();
        assert_eq!(refused.reason, Reason::Full);
    }
}
