//! A kernel for tests: any store, a clock that stands still until told, everybody let in.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fairlead_canon::{Principal, Text, Timestamp};
use fairlead_ports::{
    Action, BoxFuture, Clock, ConnInfo, Documents, Entropy, Login, Policy, Step, Store, Verdict,
};

use crate::{Backing, Error, Kernel};

mod damaging;
mod moody;
mod over;

pub use damaging::Damaging;
pub use moody::Moody;
pub use over::{Manner, Over};

/// Wall time that moves when it is told to.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

/// Wall time that goes on with the runtime's, which tests can pause.
#[derive(Debug)]
pub struct RuntimeClock {
    began_ms: u64,
    began: tokio::time::Instant,
}

/// Bytes that differ from call to call and are the same in every run.
#[derive(Debug, Default)]
pub struct CountingEntropy(AtomicU64);

/// Lets everybody in; the password of every user but `nobody` is `secret`.
#[derive(Debug)]
pub struct OpenHouse;

/// Checks one PLAIN message.
#[derive(Debug)]
struct PlainLogin;

impl ManualClock {
    /// Stands at `ms` after the epoch.
    pub fn at(ms: u64) -> Self {
        Self(AtomicU64::new(ms))
    }

    /// Goes on by so many milliseconds.
    pub fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

impl RuntimeClock {
    /// Stands at `ms` after the epoch now.
    pub fn at(ms: u64) -> Self {
        Self {
            began_ms: ms,
            began: tokio::time::Instant::now(),
        }
    }
}

impl Clock for RuntimeClock {
    fn wall(&self) -> Timestamp {
        Timestamp(self.began_ms).after(self.began.elapsed())
    }
}

impl Entropy for CountingEntropy {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let number = self
                .0
                .fetch_add(1, Ordering::Relaxed)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
            chunk
                .iter_mut()
                .zip(number.to_be_bytes())
                .for_each(|(to, from)| *to = from);
        }
    }
}

impl Policy for OpenHouse {
    fn name(&self) -> &'static str {
        "open-house"
    }

    fn admit(&self, _: &Principal, _: &Action<'_>) -> Verdict {
        Verdict::Yes
    }

    fn mechanisms(&self, _: &ConnInfo) -> &'static [&'static str] {
        &["PLAIN", "ANONYMOUS"]
    }

    fn login(&self, _: &ConnInfo, mechanism: &str) -> Option<Box<dyn Login>> {
        ["PLAIN", "ANONYMOUS"]
            .contains(&mechanism)
            .then(|| Box::new(PlainLogin) as Box<dyn Login>)
    }
}

impl Login for PlainLogin {
    fn step<'a>(&'a mut self, said: &'a [u8]) -> BoxFuture<'a, Step> {
        let mut parts = said.split(|byte| *byte == 0).skip(1);
        let user = parts.next().and_then(|name| std::str::from_utf8(name).ok());
        let step = match (user, parts.next()) {
            (None | Some(""), None | Some(b"")) => Step::Done(Principal::anonymous(), Bytes::new()),
            (Some(user), Some(b"secret" | b"guest")) if user != "nobody" => {
                let who = Principal {
                    name: Text::from(user),
                    ..Principal::anonymous()
                };
                Step::Done(who, Bytes::new())
            }
            _ => Step::Refused("wrong password"),
        };
        Box::pin(std::future::ready(step))
    }
}

/// A kernel over a store. Call it inside a runtime.
pub async fn kernel<S: Store + Documents + 'static>(
    store: Arc<S>,
    clock: Arc<impl Clock + 'static>,
) -> Result<Arc<Kernel>, Error> {
    let backing = Backing {
        store: Arc::clone(&store) as Arc<dyn Store>,
        documents: store,
        clock,
        entropy: Arc::new(CountingEntropy::default()),
    };
    Kernel::open(backing, |_| Arc::new(OpenHouse)).await
}

/// A connection over loopback.
pub fn conn_info(id: u64) -> ConnInfo {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    ConnInfo {
        id,
        peer: loopback(50_000),
        local: loopback(1),
        listener: Arc::from("test"),
        is_tls: false,
        certificate_name: None,
    }
}
