//! Lets commits through in order, or holds them back while the last of a move is done.

use std::collections::VecDeque;
use std::fmt;

use fairlead_ports::{Commit, StoreError, Units};
use parking_lot::RwLock;
use tokio::sync::oneshot;

/// Open for everybody, or a line of those who wait. It bounds nothing by itself: each caller waits
/// for its receipts, and holds back its peer meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Gate(RwLock<Option<VecDeque<Waiting>>>);

struct Waiting {
    units: Units,
    /// Told where they went.
    handed: oneshot::Sender<Commit>,
}

impl Gate {
    /// Hands units over at once if it is open; otherwise they wait in line.
    pub(crate) fn pass(&self, units: Units, hand: impl Fn(Units) -> Commit) -> Commit {
        // While this is held nobody closes the gate: what passes is with a store before that.
        let line = self.0.read();
        if line.is_none() {
            return hand(units);
        }
        drop(line);
        let mut line = self.0.write();
        let Some(line) = line.as_mut() else {
            return hand(units);
        };
        let (handed, told) = oneshot::channel();
        line.push_back(Waiting { units, handed });
        late(told)
    }

    /// Does something while no commit is on its way through: each is with a store, or has not begun.
    pub(crate) fn between<T>(&self, act: impl FnOnce() -> T) -> T {
        let _line = self.0.write();
        act()
    }

    /// Holds back what comes from here on. Only one who has the turn to move closes it.
    pub(crate) fn close(&self) {
        *self.0.write() = Some(VecDeque::new());
    }

    /// Hands over what waits, in order, and lets everybody through again.
    pub(crate) fn open(&self, hand: impl Fn(Units) -> Commit) {
        let mut line = self.0.write();
        for waiting in line.take().into_iter().flatten() {
            // Whoever does not wait any more need not be told: it is with a store all the same.
            drop(waiting.handed.send(hand(waiting.units)));
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Waiting")
            .field("units", &self.units)
            .finish_non_exhaustive()
    }
}

fn late(told: oneshot::Receiver<Commit>) -> Commit {
    Commit::steps(async move {
        match told.await {
            Ok(handed) => handed.await,
            Err(_gone) => [Err(StoreError::Unavailable)].into(),
        }
    })
}
