//! Opening the store and the kernel, while clients already wait at the doors.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fairlead_backends::{Backends, OpenError, Settings};
use fairlead_edge::{Counters, Keeper};
use fairlead_kernel::{Backing, Kernel};
use fairlead_policy::{Anonymous, Rules, TokenRules};
use fairlead_ports::{Clock, Entropy};
use tokio::runtime::Handle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::address;
use crate::banner::Banner;
use crate::exit::Failure;
use crate::measures::{Measures, Seen};
use crate::node::Start;
use crate::system::SystemClock;

/// How often a process that takes over looks whether the other one has let the directory go.
const LOCK_STEP: Duration = Duration::from_millis(20);
/// How often the stores are asked to do what is due.
const TEND_EVERY: Duration = Duration::from_secs(1);

/// What is needed to open a node.
pub(crate) struct Opening {
    pub(crate) stores: Settings,
    pub(crate) anonymous: Anonymous,
    pub(crate) tokens: Option<TokenRules>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) start: Start,
    /// How long to wait for the process that hands over.
    pub(crate) lock_patience: Duration,
    pub(crate) admin: SocketAddr,
    pub(crate) banner: Banner,
}

impl Opening {
    /// Opens everything, then the gate. Reading a long log takes a while and blocks: this has a
    /// thread of its own. The kernel's tasks and the watch over the log go to `background`.
    pub(crate) fn run(
        self,
        keeper: Keeper,
        counters: Counters,
        background: &Handle,
    ) -> Result<(), Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let opened = self.open_store(&clock)?;
        let tokens = self.tokens.map(|rules| (rules, Arc::clone(&clock)));
        let rules = Rules::start(self.anonymous, Arc::clone(&self.entropy), tokens)
            .map_err(Failure::of("cannot check logins"))?;
        background
            .block_on(opened.sweep())
            .map_err(Failure::of("cannot remove what a crash has left"))?;
        let poisoned = opened.poisoned();
        background.spawn(tend(opened.tend()));
        let (stats, moves) = (opened.stats(), opened.moves());
        let seen = move || Seen {
            stats: stats(),
            moves: moves(),
        };
        let measures = Measures::new(seen).map_err(Failure::of("metrics"))?;
        let backing = Backing {
            store: opened.store,
            documents: opened.documents,
            clock,
            entropy: self.entropy,
        };
        let kernel = background
            .block_on(Kernel::open(backing, |directory| rules.over(directory)))
            .map_err(Failure::of("cannot read what exists"))?;
        for translator in fairlead_translators::all() {
            kernel.introduce(translator.name(), translator.origin());
        }
        counters.register(&kernel).map_err(Failure::of("metrics"))?;
        kernel
            .metrics_registry()
            .register(Box::new(measures))
            .map_err(Failure::of("metrics"))?;
        address::write(&self.stores.dir, self.admin).map_err(Failure::of("admin.address"))?;
        keeper.open(kernel);
        background.spawn(async move {
            poisoned.await;
            keeper.shut();
        });
        if let Err(error) = self.banner.print() {
            tracing::warn!(%error, "nobody reads what listens where");
        }
        Ok(())
    }

    fn open_store(&self, clock: &Arc<dyn Clock>) -> Result<Backends, Failure> {
        let began = Instant::now();
        loop {
            let (clock, entropy) = (Arc::clone(clock), Arc::clone(&self.entropy));
            match fairlead_backends::open(&self.stores, clock, entropy) {
                Err(OpenError::Locked { .. })
                    if self.start == Start::Upgrade && began.elapsed() < self.lock_patience =>
                {
                    pause();
                }
                other => return other.map_err(Failure::of("cannot open the store")),
            }
        }
    }
}

/// Has done what is due, for as long as the runtime goes on.
async fn tend(tend: impl Fn() + Send) {
    let mut turns = tokio::time::interval(TEND_EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        tend();
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, no worker")]
fn pause() {
    std::thread::sleep(LOCK_STEP);
}
