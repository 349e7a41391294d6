//! A produce on its way: what has become of each partition, and the answer once all is known.

use fairlead_canon::{Text, Timestamp};
use fairlead_kernel::{Error, Pending, Receipt};

use crate::answer::Answer;
use crate::api::Call;
use crate::errors::{self, Code, Refusal};
use crate::fields::Out;
use crate::frame::Form;

/// A produce whose receipts are awaited.
#[derive(Debug)]
pub(crate) struct InFlight {
    version: i16,
    correlation: i32,
    form: Form,
    topics: Vec<(Text, Vec<Part>)>,
    /// Receipts that have not come.
    awaited: usize,
}

/// One partition of it.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) index: i32,
    pub(crate) state: State,
    /// When it came, if its records show that instead of when they were made.
    pub(crate) arrived: Option<Timestamp>,
}

/// What has become of a partition's batch.
#[derive(Debug)]
pub(crate) enum State {
    /// Staged; its receipt will come.
    Awaiting(Pending),
    /// Kept, from this offset on.
    Kept(i64),
    /// Not kept.
    Refused(Refusal),
}

impl InFlight {
    pub(crate) fn new(call: &Call, topics: Vec<(Text, Vec<Part>)>) -> Self {
        let parts = topics.iter().flat_map(|(_, parts)| parts);
        let awaited = parts
            .filter(|part| matches!(part.state, State::Awaiting(_)))
            .count();
        let Call {
            version,
            correlation,
            form,
            ..
        } = *call;
        Self {
            version,
            correlation,
            form,
            topics,
            awaited,
        }
    }

    /// Whether every partition's fate is known.
    pub(crate) fn is_done(&self) -> bool {
        self.awaited == 0
    }

    /// Takes a receipt; whether it was one of ours.
    pub(crate) fn take(&mut self, pending: Pending, result: &Result<Receipt, Error>) -> bool {
        let parts = self.topics.iter_mut().flat_map(|(_, parts)| parts);
        let ours = |part: &&mut Part| matches!(part.state, State::Awaiting(p) if p == pending);
        let Some(part) = parts.into_iter().find(ours) else {
            return false;
        };
        part.state = State::of(result);
        self.awaited -= 1;
        true
    }

    /// The first refusal, if there is one.
    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        let parts = self.topics.iter().flat_map(|(_, parts)| parts);
        parts.into_iter().find_map(|part| match &part.state {
            State::Refused(refusal) => Some(refusal),
            State::Awaiting(_) | State::Kept(_) => None,
        })
    }

    /// The answer; a partition whose receipt never came counts as not kept.
    pub(crate) fn answer(&self) -> Answer {
        let mut out = Out::new(self.form);
        out.i32(self.correlation);
        out.tags();
        out.count(self.topics.len());
        for (name, parts) in &self.topics {
            out.text(Some(name));
            out.count(parts.len());
            parts.iter().for_each(|part| self.put_part(part, &mut out));
            out.tags();
        }
        out.i32(0); // throttle time
        out.tags();
        Answer::one(out.take())
    }

    fn put_part(&self, part: &Part, out: &mut Out) {
        let (code, base, why) = part.state.said();
        out.i32(part.index);
        out.i16(code);
        out.i64(base);
        let arrived = part.arrived.filter(|_| code == errors::NONE);
        let arrived = arrived.and_then(|at| i64::try_from(at.0).ok());
        out.i64(arrived.unwrap_or(-1)); // log append time
        if self.version >= 5 {
            out.i64(if code == errors::NONE { 0 } else { -1 }); // log start offset
        }
        if self.version >= 8 {
            out.count(0); // errors of single records
            out.text(why);
        }
        out.tags();
    }
}

impl State {
    fn of(result: &Result<Receipt, Error>) -> Self {
        match result {
            // The lane that was asked for by number comes first.
            Ok(receipt) => match receipt.positions.first() {
                Some((_, base)) => Self::Kept(i64::try_from(base.0).unwrap_or(i64::MAX)),
                None => Self::Refused(Refusal::new(errors::POLICY_VIOLATION, "the topic is full")),
            },
            Err(error) => Self::Refused(errors::of_produce(error)),
        }
    }

    /// Error code, base offset and message.
    fn said(&self) -> (Code, i64, Option<&str>) {
        match self {
            Self::Awaiting(_) => (errors::NOT_LEADER, -1, None),
            Self::Kept(base) => (errors::NONE, *base, None),
            Self::Refused(refusal) => (refusal.code, -1, Some(&refusal.why)),
        }
    }
}
