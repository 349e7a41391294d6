//! Signs of life, in both directions.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval_at};

/// Ticks per agreed interval: one between our signs makes sure that none comes late.
const TICKS_PER_INTERVAL: u32 = 2;
/// Silent ticks after which a client is given up: two agreed intervals, as the specification asks.
const SILENT_TICKS_MAX: u32 = 2 * TICKS_PER_INTERVAL;

/// The clock of one connection's signs of life.
#[derive(Debug)]
pub(super) struct Heartbeat {
    ticks: Option<Interval>,
    silent_ticks: u32,
    has_written: bool,
}

/// What a tick asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tick {
    /// Nothing.
    Fine,
    /// We have been silent: give a sign of life.
    Speak,
    /// The client has been silent for too long.
    Lost,
}

impl Heartbeat {
    /// Signs of life every so many seconds; none when 0.
    pub(super) fn every(seconds: u16) -> Self {
        let period = Duration::from_secs(u64::from(seconds)) / TICKS_PER_INTERVAL;
        let ticks = (seconds > 0).then(|| {
            let mut ticks = interval_at(tokio::time::Instant::now() + period, period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        Self {
            ticks,
            silent_ticks: 0,
            has_written: false,
        }
    }

    /// Waits for the next tick; for ever without heartbeats. Cancel-safe.
    pub(super) async fn tick(&mut self) -> Tick {
        let Some(ticks) = &mut self.ticks else {
            return std::future::pending().await;
        };
        ticks.tick().await;
        self.silent_ticks += 1;
        if self.silent_ticks > SILENT_TICKS_MAX {
            return Tick::Lost;
        }
        if std::mem::take(&mut self.has_written) {
            return Tick::Fine;
        }
        Tick::Speak
    }

    /// The client gave a sign of life, or could not because we did not listen.
    pub(super) fn heard(&mut self) {
        self.silent_ticks = 0;
    }

    /// We gave a sign of life.
    pub(super) fn wrote(&mut self) {
        self.has_written = true;
    }
}
