//! Lets commits through in order, or holds them back while an entity moves.

use std::collections::VecDeque;
use std::fmt;

use fairlead_ports::{BoxFuture, Committed, StoreError, Unit};
use parking_lot::RwLock;
use tokio::sync::oneshot;

pub(crate) type Outcomes = Vec<Result<Committed, StoreError>>;
pub(crate) type Handed = BoxFuture<'static, Outcomes>;

/// Open for everybody, or a line of those who wait. It bounds nothing by itself: each caller waits
/// for its receipts, and holds back its peer meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Gate(RwLock<Option<VecDeque<Waiting>>>);

/// What a commit means to the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It goes through with others.
    Plain,
    /// It closes the gate behind itself, until [`Gate::open`].
    Last,
}

struct Waiting {
    units: Vec<Unit>,
    /// Told where they went.
    handed: oneshot::Sender<Handed>,
}

impl Gate {
    /// Hands units over at once if it is open; otherwise they wait in line. What they mean to the
    /// gate is asked when it is their turn.
    pub(crate) fn pass(
        &self,
        units: Vec<Unit>,
        passage: impl Fn(&[Unit]) -> Passage,
        hand: impl Fn(Vec<Unit>) -> Handed,
    ) -> Handed {
        // While this is held nobody closes the gate: what passes is with a store before that.
        let line = self.0.read();
        if line.is_none() && passage(&units) == Passage::Plain {
            return hand(units);
        }
        drop(line);
        let mut line = self.0.write();
        if let Some(line) = line.as_mut() {
            let (handed, told) = oneshot::channel();
            line.push_back(Waiting { units, handed });
            return late(told);
        }
        if passage(&units) == Passage::Last {
            *line = Some(VecDeque::new());
        }
        hand(units)
    }

    /// Hands over what waits, in order, up to what closes it again; opens it if nothing does.
    pub(crate) fn open(
        &self,
        passage: impl Fn(&[Unit]) -> Passage,
        hand: impl Fn(Vec<Unit>) -> Handed,
    ) {
        let mut line = self.0.write();
        while let Some(waiting) = line.as_mut().and_then(VecDeque::pop_front) {
            let passage = passage(&waiting.units);
            let handed = hand(waiting.units);
            if let Err(gone) = waiting.handed.send(handed) {
                // Nobody sees it to its end; dropping it may open the gate, and needs it.
                drop(line);
                drop(gone);
                line = self.0.write();
            }
            if passage == Passage::Last {
                return;
            }
        }
        *line = None;
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Waiting")
            .field("units", &self.units)
            .finish_non_exhaustive()
    }
}

fn late(told: oneshot::Receiver<Handed>) -> Handed {
    Box::pin(async move {
        match told.await {
            Ok(handed) => handed.await,
            Err(_gone) => vec![Err(StoreError::Unavailable)],
        }
    })
}
