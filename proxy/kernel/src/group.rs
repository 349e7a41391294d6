//! Groups of readers that divide lanes: members wait here for the end of a round.
//!
//! The rules are in `delivery`; this is their clock and their post. All groups stand behind one
//! short lock: a question costs a few map steps, and there are few questions per member and second.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use fairlead_canon::Text;
use fairlead_delivery::{
    Answer, Ask, Group, GroupError, Join, Joined, MemberView, Phase, Reply, Synced, Ticket, Who,
    Wish,
};
use fairlead_ports::{BoxFuture, Entropy};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Duration, Instant};

use crate::Caller;

/// Every group that has members.
#[derive(Debug)]
pub(crate) struct Groups {
    begun: Instant,
    table: Mutex<Table>,
    /// The earliest deadline has changed.
    earlier: Notify,
}

/// A group as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// Where it stands.
    pub phase: Phase,
    /// What kind of readers these are.
    pub kind: Text,
    /// The way of dividing that was agreed upon.
    pub protocol: Text,
    /// Its members, by name.
    pub members: Vec<MemberView>,
}

type Reader = oneshot::Sender<Result<Reply, GroupError>>;

#[derive(Debug, Default)]
struct Table {
    slots: BTreeMap<Text, Slot>,
    /// The deadline of each group that has one.
    due: BTreeSet<(u64, Text)>,
    last_ticket: u64,
}

#[derive(Debug, Default)]
struct Slot {
    group: Group,
    due: Option<u64>,
    waiting: BTreeMap<Ticket, Reader>,
}

impl Groups {
    /// Most groups with members: each has a connection behind it, so this bounds names only.
    const GROUPS_MAX: usize = 100_000;

    /// Starts the clock of all groups on the current runtime; it ends with the last owner.
    pub(crate) fn start() -> Arc<Self> {
        let groups = Arc::new(Self {
            begun: Instant::now(),
            table: Mutex::default(),
            earlier: Notify::new(),
        });
        // Nobody waits for the task: it ends by itself.
        drop(tokio::spawn(tick(Arc::downgrade(&groups))));
        groups
    }

    /// Runs `act` on a group and delivers what it answers.
    fn with<R>(&self, name: &Text, act: impl FnOnce(&mut Slot, u64, &mut Vec<Answer>) -> R) -> R {
        let now = self.now();
        let mut table = self.table.lock();
        let earliest = table.earliest();
        let mut slot = table.slots.remove(name).unwrap_or_default();
        let mut answers = Vec::new();
        let result = act(&mut slot, now, &mut answers);
        table.put(name, slot, answers);
        if table.earliest() != earliest {
            self.earlier.notify_one();
        }
        result
    }

    fn expire(&self) {
        let now = self.now();
        loop {
            let due = self.table.lock().due.first().cloned();
            match due {
                Some((at, name)) if at <= now => {
                    self.with(&name, |slot, now, out| slot.group.expire(now, out));
                }
                Some(_) | None => return,
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn ask(
        &self,
        name: &Text,
        act: impl FnOnce(&mut Group, u64, Ticket, &mut Vec<Answer>),
    ) -> oneshot::Receiver<Result<Reply, GroupError>> {
        let ticket = self.next_ticket();
        let (reader, answer) = oneshot::channel();
        self.with(name, |slot, now, out| {
            slot.waiting.insert(ticket, reader);
            act(&mut slot.group, now, ticket, out);
        });
        answer
    }

    fn next_ticket(&self) -> Ticket {
        let mut table = self.table.lock();
        table.last_ticket += 1;
        Ticket(table.last_ticket)
    }

    fn has_room_for(&self, name: &Text) -> bool {
        let table = self.table.lock();
        table.slots.len() < Self::GROUPS_MAX || table.slots.contains_key(name)
    }
}

impl Table {
    fn earliest(&self) -> Option<u64> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Puts a group back; one without members and questions leaves nothing behind.
    fn put(&mut self, name: &Text, mut slot: Slot, answers: Vec<Answer>) {
        for Answer { ticket, reply } in answers {
            if let Some(reader) = slot.waiting.remove(&ticket) {
                // A reader that no longer waits has lost its connection; its session will end.
                drop(reader.send(reply));
            }
        }
        if let Some(due) = slot.due.take() {
            self.due.remove(&(due, name.clone()));
        }
        if slot.group.is_idle() && slot.waiting.is_empty() {
            return;
        }
        slot.due = slot.group.deadline();
        if let Some(due) = slot.due {
            self.due.insert((due, name.clone()));
        }
        self.slots.insert(name.clone(), slot);
    }
}

/// Lets time pass in all groups until nobody owns them any more.
async fn tick(groups: Weak<Groups>) {
    loop {
        let Some(owner) = groups.upgrade() else {
            return;
        };
        owner.expire();
        let due = owner.table.lock().earliest();
        // Looked at again once a minute without a deadline, so that the task ends with its owner.
        let wait = due.map_or(60_000, |due| due.saturating_sub(owner.now()).min(60_000));
        let sleep = tokio::time::sleep(Duration::from_millis(wait));
        tokio::select! {
            () = sleep => {}
            () = owner.earlier.notified() => {}
        }
    }
}

impl Caller {
    /// Takes part in a group of readers. Resolves when the round has ended, which may take as long
    /// as the slowest member says. Dropping the future leaves the membership as it is: it ends by
    /// silence.
    pub fn join_group(
        &self,
        group: &Text,
        wish: Wish,
    ) -> BoxFuture<'static, Result<Joined, GroupError>> {
        let groups = &self.kernel.groups;
        if !groups.has_room_for(group) {
            return Box::pin(std::future::ready(Err(GroupError::Full)));
        }
        let fresh_name = fresh_name(&wish.client, self.kernel.entropy());
        let answer = groups.ask(group, |group, now, ticket, out| {
            group.join(
                now,
                Join {
                    ticket,
                    fresh_name,
                    wish,
                },
                out,
            );
        });
        Box::pin(async move {
            match answer.await {
                Ok(Ok(Reply::Joined(joined))) => Ok(joined),
                Ok(Err(error)) => Err(error),
                // The group is gone, or answered another question: come again.
                Ok(Ok(Reply::Synced(_))) | Err(_) => Err(GroupError::Rebalancing),
            }
        })
    }

    /// Learns the caller's part of the plan; the leader brings the plan. As for
    /// [`Caller::join_group`], it may take a while and can be dropped.
    pub fn sync_group(
        &self,
        group: &Text,
        ask: Ask,
    ) -> BoxFuture<'static, Result<Synced, GroupError>> {
        let answer = self.kernel.groups.ask(group, |group, now, ticket, out| {
            group.sync(now, ticket, ask, out);
        });
        Box::pin(async move {
            match answer.await {
                Ok(Ok(Reply::Synced(synced))) => Ok(synced),
                Ok(Err(error)) => Err(error),
                Ok(Ok(Reply::Joined(_))) | Err(_) => Err(GroupError::Rebalancing),
            }
        })
    }

    /// Says that a member lives.
    pub fn beat_group(&self, group: &Text, who: &Who) -> Result<(), GroupError> {
        self.kernel
            .groups
            .with(group, |slot, now, _| slot.group.beat(now, who))
    }

    /// Ends a membership, named by the member or by its standing place.
    pub fn leave_group(
        &self,
        group: &Text,
        member: &Text,
        place: Option<&Text>,
    ) -> Result<(), GroupError> {
        let groups = &self.kernel.groups;
        groups.with(group, |slot, now, out| {
            slot.group.leave(now, member, place, out)
        })
    }

    /// Whether somebody may write the positions of a group.
    pub fn may_commit(&self, group: &Text, who: &Who) -> Result<(), GroupError> {
        self.kernel
            .groups
            .with(group, |slot, now, _| slot.group.may_commit(now, who))
    }

    /// A group that has members.
    pub fn group(&self, name: &Text) -> Option<GroupView> {
        self.kernel
            .groups
            .table
            .lock()
            .slots
            .get(name)
            .map(|slot| view(&slot.group))
    }

    /// Every group that has members, by name.
    pub fn groups(&self) -> Vec<(Text, GroupView)> {
        let table = self.kernel.groups.table.lock();
        table
            .slots
            .iter()
            .map(|(name, slot)| (name.clone(), view(&slot.group)))
            .collect()
    }
}

fn view(group: &Group) -> GroupView {
    GroupView {
        phase: group.phase(),
        kind: group.kind().clone(),
        protocol: group.protocol().clone(),
        members: group.members().collect(),
    }
}

/// A name that nobody has: what the client calls itself, and 128 random bits.
fn fresh_name(client: &Text, entropy: &dyn Entropy) -> Text {
    let mut bits = [0; 16];
    entropy.fill(&mut bits);
    Text::from(format!("{client}-{:032x}", u128::from_be_bytes(bits)))
}
