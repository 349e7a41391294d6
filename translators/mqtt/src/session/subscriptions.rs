//! The subscriptions of one session, and their stored form.

use bytes::{Bytes, BytesMut};
use fairlead_canon::{Path, Pattern, RealmId, Text};
use fairlead_kernel::AttachmentId;
use fairlead_wire::{Reader, WireError, Writer};
use smallvec::SmallVec;

use super::share;
use crate::census::Subscribed;
use crate::codec::{Qos, RetainHandling, Subscription, SubscriptionId};
use crate::names;

/// What a session asked for.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    entries: Vec<Entry>,
    /// What was granted at the path that was asked for last: neighbours share it.
    last: Option<Box<(Path, Option<Grant>)>>,
}

/// One subscription.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// As the client wrote it.
    pub(super) filter: Text,
    /// Granted.
    pub(super) qos: Qos,
    pub(super) standing: Standing,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) id: Option<SubscriptionId>,
    /// The filter, compiled.
    pub(super) patterns: Vec<Pattern>,
    /// Where its messages come from; none when they come by way of the mailbox.
    pub(super) attachments: SmallVec<[AttachmentId; 1]>,
}

/// Whether the client may still hear what a subscription asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Granted,
    /// In part: each message is asked about.
    Narrowed,
    /// It waits for its grant. Nothing comes by it.
    Suspended,
}

/// What the subscriptions that match a message say of its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// At most.
    pub(super) qos: Qos,
    pub(super) retain_as_published: bool,
    pub(super) ids: SmallVec<[SubscriptionId; 1]>,
}

/// Whether the client may have the message in question because of a pattern that matches it.
pub(super) type May<'a> = &'a dyn Fn(&Pattern) -> bool;

const REVISION: u8 = 1;
const NO_LOCAL: u8 = 1 << 2;
const RETAIN_AS_PUBLISHED: u8 = 1 << 3;

impl Subscriptions {
    /// Most subscriptions of a session: each message for the mailbox is compared with all of them.
    pub(super) const MAX: usize = 4_096;

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.changing().iter_mut()
    }

    /// Adds a subscription; there is none with its filter.
    pub(super) fn put(&mut self, entry: Entry) {
        // Most sessions have one subscription and never more.
        let entries = self.changing();
        entries.reserve_exact(1);
        entries.push(entry);
    }

    /// Removes the subscription of an attachment that ended.
    pub(super) fn ended(&mut self, attachment: AttachmentId) {
        self.changing()
            .retain(|entry| !entry.attachments.contains(&attachment));
    }

    pub(super) fn remove(&mut self, filter: &str) -> Option<Entry> {
        let entries = self.changing();
        let place = entries.iter().position(|entry| entry.filter == filter)?;
        Some(entries.remove(place))
    }

    /// For a change, after which other things may be granted.
    fn changing(&mut self) -> &mut Vec<Entry> {
        self.last = None;
        &mut self.entries
    }

    /// Whether any subscription needs the mailbox.
    pub(super) fn need_mailbox(&self) -> bool {
        let needs = |entry: &Entry| entry.fills_mailbox() || entry.qos == Qos::ExactlyOnce;
        self.entries.iter().any(needs)
    }

    /// How a message from the mailbox is delivered. A message that no subscription asks for any
    /// more is delivered as it was published: its delivery may have begun on another connection.
    /// `None`: it is not granted.
    pub(super) fn grant_at(&mut self, path: &Path, may: May<'_>) -> Option<Grant> {
        if let Some((_, grant)) = self.last.as_deref().filter(|(last, _)| last == path) {
            return grant.clone();
        }
        let fills = |entry: &&Entry| entry.fills_mailbox() && entry.matches(path);
        let grant = Grant::of(self.entries.iter().filter(fills), path, may);
        // A copy of the path: a slice would keep the whole stored message in memory.
        let path = Path::from_segments(path.segments()).ok();
        self.last = path.map(|path| Box::new((path, grant.clone())));
        grant
    }

    /// The same for a message of a group that was taken into the mailbox.
    pub(super) fn grant_shared(&self, path: &Path, may: May<'_>) -> Option<Grant> {
        let matching = self
            .entries
            .iter()
            .filter(|entry| entry.has_queue() && entry.matches(path));
        Grant::of(matching, path, may)
    }

    /// The same for a message from attachments other than the mailbox.
    pub(super) fn grant_by(
        &self,
        via: &[AttachmentId],
        path: &Path,
        may: May<'_>,
    ) -> Option<Grant> {
        Grant::of(self.via(via), path, may)
    }

    /// How all messages from these attachments are delivered; `None` where it is to be asked about each.
    pub(super) fn grant_via(&self, via: &[AttachmentId]) -> Option<Grant> {
        let mut grant = None;
        for entry in self.via(via) {
            if entry.standing != Standing::Granted {
                return None;
            }
            grant
                .get_or_insert_with(|| Grant::up_to(Qos::AtMostOnce))
                .add(entry);
        }
        grant
    }

    fn via(&self, via: &[AttachmentId]) -> impl Iterator<Item = &Entry> {
        let is_via = |entry: &&Entry| {
            entry
                .attachments
                .iter()
                .any(|attachment| via.contains(attachment))
        };
        self.entries.iter().filter(is_via)
    }

    /// For the session's document, with the name of the principal that it belongs to.
    pub(super) fn to_document(&self, owner: &str) -> Result<Bytes, WireError> {
        let mut out = BytesMut::new();
        let mut w = Writer::new(&mut out);
        w.u8(REVISION);
        w.bytes16("owner", owner.as_bytes())?;
        for entry in &self.entries {
            let bit = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
            w.u8(entry.qos as u8
                | bit(entry.no_local, NO_LOCAL)
                | bit(entry.retain_as_published, RETAIN_AS_PUBLISHED));
            w.u32(entry.id.map_or(0, SubscriptionId::get));
            w.bytes16("filter", entry.filter.as_bytes())?;
        }
        // A copy, which is as long as it has to be: it is kept for as long as the session.
        Ok(Bytes::copy_from_slice(&out))
    }

    /// Owner and subscriptions of a session's document, all suspended; `None` when it is not one of ours.
    pub(super) fn from_document(document: &Bytes) -> Option<(Text, Self)> {
        let (owner, mut r) = opened(document)?;
        let mut entries = Vec::new();
        while !r.is_empty() {
            let Noted {
                options,
                id,
                filter,
            } = Noted::read(&mut r)?;
            let qos = Qos::from_bits(options & 3).ok()?;
            let asked = Subscription {
                no_local: options & NO_LOCAL != 0,
                retain_as_published: options & RETAIN_AS_PUBLISHED != 0,
                retain_handling: RetainHandling::Never,
                ..Subscription::new(filter, qos)
            };
            let standing = Standing::Suspended;
            entries.push(Entry {
                standing,
                ..Entry::new(&asked, id)
            });
        }
        let last = None;
        Some((owner, Self { entries, last }))
    }

    /// How many a session's document holds; `None` when it is not one of ours.
    pub(super) fn count_in(document: &Bytes) -> Option<Subscribed> {
        let (_, mut r) = opened(document)?;
        let mut found = Subscribed::default();
        while !r.is_empty() {
            match share::is_shared(&Noted::read(&mut r)?.filter) {
                true => found.shared += 1,
                false => found.own += 1,
            }
        }
        Some(found)
    }
}

/// The owner that a session's document names, and what follows: its subscriptions.
fn opened(document: &Bytes) -> Option<(Text, Reader<'_>)> {
    let mut r = Reader::new(document);
    let is_ours = r.u8("revision").ok()? == REVISION;
    let owner = is_ours.then(|| r.bytes16("owner").ok())??;
    Some((Text::try_from(owner).ok()?, r))
}

/// A subscription as a document says it.
struct Noted {
    options: u8,
    id: Option<SubscriptionId>,
    filter: Text,
}

impl Noted {
    fn read(r: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            options: r.u8("options").ok()?,
            id: SubscriptionId::new(r.u32("identifier").ok()?),
            filter: Text::try_from(r.bytes16("filter").ok()?).ok()?,
        })
    }
}

impl Entry {
    /// A subscription as it was asked for; live nowhere yet.
    pub(super) fn new(asked: &Subscription, id: Option<SubscriptionId>) -> Self {
        let inner = share::inner(&asked.filter).unwrap_or(&asked.filter);
        Self {
            // A copy: a slice would keep the whole read buffer in memory.
            filter: Text::from(asked.filter.to_string()),
            qos: asked.qos,
            standing: Standing::Granted,
            no_local: asked.no_local,
            retain_as_published: asked.retain_as_published,
            id,
            patterns: names::patterns_of(inner.as_bytes()),
            attachments: SmallVec::new(),
        }
    }

    /// Whether its messages go by way of the mailbox.
    pub(super) fn fills_mailbox(&self) -> bool {
        self.qos > Qos::AtMostOnce && !self.has_queue()
    }

    /// Whether its messages come from a queue of its own.
    pub(super) fn has_queue(&self) -> bool {
        share::has_queue(&self.filter)
    }

    /// How a message is delivered because of this subscription alone.
    pub(super) fn grant(&self) -> Grant {
        let mut grant = Grant::up_to(Qos::AtMostOnce);
        grant.add(self);
        grant
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.standing == Standing::Suspended
    }

    /// Whether the client may have a message from a path that this subscription asks for.
    pub(super) fn lets_through(&self, path: &Path, may: May<'_>) -> bool {
        let mut matching = self.patterns.iter().filter(|pattern| pattern.matches(path));
        match self.standing {
            Standing::Granted => true,
            Standing::Narrowed => matching.any(may),
            Standing::Suspended => false,
        }
    }

    pub(super) fn matches(&self, path: &Path) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(path))
    }
}

impl Grant {
    /// Up to this QoS, and nothing else is said.
    fn up_to(qos: Qos) -> Self {
        Self {
            qos,
            retain_as_published: false,
            ids: SmallVec::new(),
        }
    }

    fn of<'a>(
        matching: impl Iterator<Item = &'a Entry>,
        path: &Path,
        may: May<'_>,
    ) -> Option<Self> {
        let mut grant = Self::up_to(Qos::AtMostOnce);
        let (mut is_any, mut is_granted) = (false, false);
        for entry in matching {
            is_any = true;
            if entry.lets_through(path, may) {
                is_granted = true;
                grant.add(entry);
            }
        }
        if !is_any {
            // Otherwise what a subscription was not granted would be had by ending it.
            is_granted = may(&Pattern::exact(RealmId::SHARED, path));
            grant = Self::up_to(Qos::ExactlyOnce);
        }
        is_granted.then_some(grant)
    }

    fn add(&mut self, entry: &Entry) {
        self.qos = self.qos.max(entry.qos);
        self.retain_as_published |= entry.retain_as_published;
        self.ids.extend(entry.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(filter: &'static str, qos: Qos, id: u32) -> Entry {
        Entry::new(&Subscription::new(filter, qos), SubscriptionId::new(id))
    }

    //= MQTT-3.3.4-2
    #[test]
    fn a_message_is_granted_the_highest_qos_and_all_identifiers() {
        let mut all = Subscriptions::default();
        all.put(entry("a/#", Qos::ExactlyOnce, 1));
        all.put(entry("a/+", Qos::AtLeastOnce, 2));
        all.put(entry("b", Qos::ExactlyOnce, 3));
        all.put(entry("a/b", Qos::AtMostOnce, 4));
        let path = names::path_of(b"a/b").unwrap();
        let grant = all.grant_at(&path, &|_| false).unwrap();
        assert_eq!(grant.qos, Qos::ExactlyOnce);
        assert_eq!(
            grant.ids.iter().map(|id| id.get()).collect::<Vec<_>>(),
            [1, 2]
        );
    }

    #[test]
    fn what_was_granted_is_not_remembered_beyond_a_change() {
        let path = names::path_of(b"a/b").unwrap();
        let mut all = Subscriptions::default();
        let grant_at = |all: &mut Subscriptions| all.grant_at(&path, &|_| false);
        let qos_at = |all: &mut Subscriptions| grant_at(all).map(|grant| grant.qos);
        all.put(entry("a/#", Qos::AtLeastOnce, 1));
        assert_eq!(qos_at(&mut all), Some(Qos::AtLeastOnce));
        all.put(entry("a/b", Qos::ExactlyOnce, 2));
        assert_eq!(qos_at(&mut all), Some(Qos::ExactlyOnce));
        assert_eq!(grant_at(&mut all), grant_at(&mut all));
        assert!(all.remove("a/b").is_some());
        assert_eq!(qos_at(&mut all), Some(Qos::AtLeastOnce));
        for entry in all.iter_mut() {
            entry.standing = Standing::Suspended;
        }
        assert_eq!(qos_at(&mut all), None);
        all.put(entry("a/+", Qos::AtLeastOnce, 3));
        assert_eq!(qos_at(&mut all), Some(Qos::AtLeastOnce));
    }

    #[test]
    fn a_message_is_granted_by_the_subscriptions_that_let_it_through() {
        let path = names::path_of(b"a/b").unwrap();
        let mut all = Subscriptions::default();
        all.put(entry("a/+", Qos::AtLeastOnce, 1));
        all.put(Entry {
            standing: Standing::Narrowed,
            ..entry("#", Qos::ExactlyOnce, 2)
        });
        let may_have = |all: &mut Subscriptions, may: bool| {
            all.iter_mut().for_each(drop);
            all.grant_at(&path, &|_| may).map(|grant| grant.qos)
        };
        assert_eq!(may_have(&mut all, true), Some(Qos::ExactlyOnce));
        assert_eq!(may_have(&mut all, false), Some(Qos::AtLeastOnce));
        assert!(all.remove("a/+").is_some());
        assert_eq!(may_have(&mut all, false), None);
        assert!(all.remove("#").is_some());
        assert_eq!(may_have(&mut all, false), None, "nobody asks for it");
        assert_eq!(may_have(&mut all, true), Some(Qos::ExactlyOnce));
    }

    #[test]
    fn a_session_reads_back_what_it_wrote() {
        let mut all = Subscriptions::default();
        let standing = Standing::Suspended;
        all.put(Entry {
            standing,
            no_local: true,
            ..entry("a/#", Qos::AtLeastOnce, 7)
        });
        all.put(Entry {
            standing,
            retain_as_published: true,
            ..entry("+", Qos::AtMostOnce, 0)
        });
        let read = Subscriptions::from_document(&all.to_document("alice").unwrap()).unwrap();
        assert_eq!(
            format!("{read:?}"),
            format!("{:?}", (Text::from_static("alice"), &all))
        );
        all.put(entry("$share/shift/a", Qos::AtLeastOnce, 0));
        let found = Subscriptions::count_in(&all.to_document("alice").unwrap());
        assert_eq!(found, Some(Subscribed { own: 2, shared: 1 }));
        assert!(Subscriptions::count_in(&Bytes::from_static(&[1, 0, 0, 1])).is_none());
        assert!(Subscriptions::from_document(&Bytes::from_static(&[9])).is_none());
        assert!(Subscriptions::from_document(&Bytes::from_static(&[1, 1])).is_none());
    }
}
