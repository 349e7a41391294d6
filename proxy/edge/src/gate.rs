//! The moment at which the node can serve, and the one at which it no longer can: sockets are open
//! before the store is.

use std::sync::Arc;

use fairlead_kernel::Kernel;
use tokio::sync::watch;

/// Waits for the kernel.
#[derive(Clone, Debug)]
pub struct Gate(watch::Receiver<State>);

/// Opens the gate, and shuts it for good. Dropped, it shuts it too.
#[derive(Debug)]
pub struct Keeper(watch::Sender<State>);

#[derive(Clone, Debug)]
enum State {
    Closed,
    Open(Arc<Kernel>),
    Shut,
}

/// A closed gate and the right to open it.
pub fn gate() -> (Keeper, Gate) {
    let (keeper, gate) = watch::channel(State::Closed);
    (Keeper(keeper), Gate(gate))
}

impl Keeper {
    /// Lets everybody in who waits.
    pub fn open(&self, kernel: Arc<Kernel>) {
        self.0.send_replace(State::Open(kernel));
    }

    /// Lets nobody in any more: the process has to end.
    pub fn shut(&self) {
        self.0.send_replace(State::Shut);
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shut();
    }
}

impl Gate {
    /// The kernel, as soon as there is one; `None` when there will be none. Cancel-safe.
    pub async fn opened(&self) -> Option<Arc<Kernel>> {
        let mut gate = self.0.clone();
        let state = gate.wait_for(|state| !matches!(state, State::Closed)).await;
        state.ok()?.kernel()
    }

    /// The kernel if there is one now.
    pub fn kernel(&self) -> Option<Arc<Kernel>> {
        self.0.borrow().kernel()
    }

    /// Waits until the gate is shut. Cancel-safe.
    pub async fn shut(&self) {
        let mut gate = self.0.clone();
        // An error means that the keeper is gone, and it shuts the gate when it goes.
        gate.wait_for(|state| matches!(state, State::Shut))
            .await
            .ok();
    }
}

impl State {
    fn kernel(&self) -> Option<Arc<Kernel>> {
        match self {
            Self::Open(kernel) => Some(Arc::clone(kernel)),
            Self::Closed | Self::Shut => None,
        }
    }
}
