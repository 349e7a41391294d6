//! How a process ends: by a signal, a hand-over, or the loss of its store.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::gate::Gate;
use crate::handover::Offer;
use crate::lounge::Lounge;
use crate::socket::Socket;

/// Why a process stopped serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was told to, by SIGTERM or SIGINT.
    Signal,
    /// The next process serves in its place.
    HandedOver,
    /// Its store did not open, or failed while serving.
    Failed,
}

/// Waits for the end and brings it about: first no new clients, then a goodbye to the others.
pub(crate) struct Ending {
    pub(crate) gate: Gate,
    /// Second handles of all listening sockets, for the next process. Gone once the end has
    /// begun, because a socket that nobody accepts on would keep clients waiting.
    pub(crate) sockets: Mutex<Option<Arc<[Socket]>>>,
    /// Where a next process asks for them.
    pub(crate) handover: PathBuf,
    /// Turned true: accept loops end.
    pub(crate) stop: watch::Sender<bool>,
    /// Turned true: sessions say goodbye.
    pub(crate) drain: watch::Sender<bool>,
    /// Where those rest who have to be woken for that.
    pub(crate) lounge: Arc<Lounge>,
    pub(crate) room: Arc<Semaphore>,
    pub(crate) connections_max: u32,
    pub(crate) drain_max: Duration,
    pub(crate) cause: Arc<Mutex<Option<Cause>>>,
}

#[async_trait]
impl ShutdownSignalWatch for Ending {
    async fn recv(&self) -> ShutdownSignal {
        let mut signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(error) => {
                tracing::error!(%error, "cannot listen to signals");
                *self.cause.lock() = Some(Cause::Failed);
                return ShutdownSignal::FastShutdown;
            }
        };
        let cause = tokio::select! {
            () = signals.any() => Cause::Signal,
            () = self.handed_over() => Cause::HandedOver,
            () = self.gate.shut() => Cause::Failed,
        };
        *self.cause.lock() = Some(cause);
        tokio::select! {
            () = self.wind_down(cause) => {}
            () = signals.any() => tracing::warn!("told twice: clients are cut off"),
        }
        // What is graceful has happened. Pingora's own grace period is zero; what this still buys is
        // that it waits for its threads to let go of what they hold, the store among it.
        ShutdownSignal::GracefulTerminate
    }
}

impl Ending {
    async fn wind_down(&self, cause: Cause) {
        tracing::info!(?cause, "no new clients; the others are asked to leave");
        self.stop.send_replace(true);
        *self.sockets.lock() = None;
        self.drain.send_replace(true);
        self.lounge.wake_everybody();
        if cause == Cause::Failed {
            // Nothing can be kept any more, so nobody can be said goodbye to with a good conscience.
            return;
        }
        let everybody = self.room.acquire_many(self.connections_max);
        if timeout(self.drain_max, everybody).await.is_err() {
            let left = self.connections_max as usize - self.room.available_permits();
            tracing::warn!(left, "clients that did not leave in time are cut off");
        }
    }

    /// Resolves when a next process serves in this one's place. Offered only once the node
    /// serves: until then it has nothing to hand over but a start.
    async fn handed_over(&self) {
        if self.gate.opened().await.is_none() {
            return std::future::pending().await;
        }
        let sockets = self.sockets.lock().clone();
        match (Offer::at(&self.handover), sockets) {
            (Ok(offer), Some(sockets)) => offer.taken(&sockets).await,
            (Err(error), _) => {
                let path = self.handover.display();
                tracing::warn!(%path, %error, "no hand-over to a next process is possible");
                std::future::pending().await
            }
            (Ok(_), None) => std::future::pending().await,
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
