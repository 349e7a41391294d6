//! Live messages on their way to whoever listens: gathered while one read is published, shown together.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use fairlead_canon::Message;
use smallvec::SmallVec;

use crate::inbox::{Inbox, Room};
use crate::live::Listener;
use crate::metrics::DropReason;
use crate::publish::Plan;
use crate::seldom::Fresh;
use crate::{Caller, Live};

/// Live messages that were published together and reach the same readers, who share them.
#[derive(Debug)]
pub struct Run {
    messages: SmallVec<[Message; 1]>,
    bytes: usize,
    form: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Run {
    /// Most messages of one: a slow reader is spared whole ones.
    const COUNT_MAX: usize = 64;
    /// From so many bytes of bodies on, nothing is added.
    const BYTES_HIGH: usize = 64 * 1024;

    pub(crate) fn of(messages: impl IntoIterator<Item = Message>) -> Self {
        let messages: SmallVec<_> = messages.into_iter().collect();
        let bytes = messages.iter().map(Message::body_len).sum();
        Self {
            messages,
            bytes,
            form: OnceLock::new(),
        }
    }

    /// The messages, in the order in which they were published; at least one.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Where the readers of one protocol keep for each other what they make of these messages, for as
    /// long as somebody has the run. `None` where those of another protocol do so.
    pub fn form<T: Any + Default + Send + Sync>(&self) -> Option<&T> {
        let form = self.form.get_or_init(|| Box::<T>::default());
        form.downcast_ref()
    }

    /// Bytes of their bodies.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Live messages of one caller that were published and not yet shown.
#[derive(Debug, Default)]
pub(crate) struct Showing {
    /// Where all of them go; nowhere while there is none.
    plan: Option<Arc<Plan>>,
    messages: Vec<Message>,
    bytes: usize,
    /// Inboxes that got some and were not woken yet.
    dirty: Vec<Arc<Inbox>>,
}

impl Fresh for Showing {
    fn fresh() -> &'static Self {
        static FRESH: Showing = Showing {
            plan: None,
            messages: Vec::new(),
            bytes: 0,
            dirty: Vec::new(),
        };
        &FRESH
    }
}

impl Showing {
    pub(crate) fn is_blank(&self) -> bool {
        self.plan.is_none() && self.dirty.is_empty()
    }

    /// Whether what goes there can be shown together with what is here.
    fn takes(&self, plan: &Arc<Plan>) -> bool {
        let has_room = self.messages.len() < Run::COUNT_MAX && self.bytes < Run::BYTES_HIGH;
        let known = self.plan.as_ref();
        known.is_none_or(|known| has_room && Arc::ptr_eq(known, plan))
    }

    fn add(&mut self, message: Message, plan: &Arc<Plan>) {
        self.bytes += message.body_len();
        self.messages.push(message);
        self.plan.get_or_insert_with(|| Arc::clone(plan));
    }

    fn take(&mut self) -> Option<(Arc<Plan>, Run)> {
        let plan = self.plan.take()?;
        self.bytes = 0;
        Some((plan, Run::of(self.messages.drain(..))))
    }
}

impl Caller {
    /// Puts one message before everybody who listens, at the latest with [`Caller::flush`]; how many
    /// they are.
    pub(crate) fn serve_live(&mut self, message: Message, plan: &Arc<Plan>) -> usize {
        let reached = |listener: &&Listener| !listener.via_for(self.id).is_empty();
        let count = plan.listeners.iter().filter(reached).count();
        if count > 0 {
            if !self.showing.takes(plan) {
                self.put_before_all();
            }
            self.showing.add(message, plan);
        }
        count
    }

    /// Shows what was gathered, and wakes who got something.
    pub(crate) fn show(&mut self) {
        if self.showing.is_blank() {
            return;
        }
        self.put_before_all();
        for inbox in self.showing.dirty.drain(..) {
            inbox.wake();
        }
    }

    fn put_before_all(&mut self) {
        let Some((plan, run)) = self.showing.take() else {
            return;
        };
        let run = Arc::new(run);
        for listener in &plan.listeners {
            let via = listener.via_for(self.id);
            if via.is_empty() {
                continue;
            }
            let live = Live {
                run: Arc::clone(&run),
                via: via.clone(),
            };
            match listener.inbox.push_live(live) {
                Room::First => self.showing.dirty.push(Arc::clone(&listener.inbox)),
                Room::Behind => {}
                Room::Full => {
                    let count = run.messages.len();
                    (0..count).for_each(|_| self.meters.dropped(DropReason::SlowReader));
                }
            }
        }
    }
}
