//! What a connection knows while it answers: who is there, and what he may be told.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{Principal, Text};
use fairlead_kernel::{Caller, ConnInfo, Error, Kernel, Login, Reason, Step};

use crate::fault::Fault;
use crate::settings::Settings;
use crate::topics::Topics;
use crate::{NAME, ORIGIN};

/// One connection's side of the counter.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) info: ConnInfo,
    pub(crate) settings: Arc<Settings>,
    pub(crate) topics: Topics,
    /// What the client calls itself.
    pub(crate) client: Text,
    pub(crate) access: Access,
}

/// Who is there.
#[derive(Debug)]
pub(crate) enum Access {
    /// Nobody has said anything.
    Unknown,
    /// A login conversation is under way.
    Greeting(Box<dyn Login>),
    /// A login conversation is under way, in frames that hold a token and nothing else.
    Bare(Box<dyn Login>),
    /// Somebody is in.
    In(Box<Caller>),
}

impl Desk {
    pub(crate) fn new(kernel: Arc<Kernel>, info: ConnInfo, settings: Arc<Settings>) -> Self {
        Self {
            kernel,
            info,
            settings,
            topics: Topics::default(),
            client: Text::new(),
            access: Access::Unknown,
        }
    }

    /// Lets somebody in.
    pub(crate) fn enter(&mut self, who: Principal) -> Result<(), Fault> {
        let caller = self.kernel.enter(&self.info, who, (NAME, ORIGIN));
        let mut caller = caller.map_err(|error| Fault::Refused(error.to_string()))?;
        caller.set_publisher(self.client.clone());
        self.access = Access::In(Box::new(caller));
        Ok(())
    }

    /// Acts on the outcome of a login step; what is said back, or `None` when the login is refused.
    /// The client is told that it failed, never why.
    pub(crate) fn conclude(&mut self, step: Step) -> Result<Option<Bytes>, Fault> {
        match step {
            Step::Continue(challenge) => Ok(Some(challenge)),
            Step::Done(who, last_word) => {
                self.enter(who)?;
                Ok(Some(last_word))
            }
            Step::Refused(why) => {
                if let Ok(meters) = self.kernel.meters(NAME, &self.info.listener) {
                    meters.logins_refused.inc();
                    meters.failed(&Error::peer(Reason::NotAuthenticated, why));
                }
                tracing::warn!(peer = %self.info.peer, why, "login refused");
                self.access = Access::Unknown;
                Ok(None)
            }
        }
    }

    /// Whoever is in; somebody who never said who he is comes in as nobody in particular, if that is
    /// allowed here.
    pub(crate) fn caller(&mut self) -> Result<&mut Caller, Fault> {
        if let Access::Unknown = self.access {
            self.enter(Principal::anonymous())?;
        }
        match &mut self.access {
            Access::In(caller) => Ok(caller),
            Access::Unknown | Access::Greeting(_) | Access::Bare(_) => Err(Fault::Refused(
                "asked for more before the login was done".to_owned(),
            )),
        }
    }

    /// Whoever is in already.
    pub(crate) fn caller_if_in(&mut self) -> Option<&mut Caller> {
        match &mut self.access {
            Access::In(caller) => Some(caller),
            Access::Unknown | Access::Greeting(_) | Access::Bare(_) => None,
        }
    }

    /// Notes what the client calls itself.
    pub(crate) fn call_client(&mut self, client: Text) {
        if self.client != client {
            self.client = client.clone();
            if let Some(caller) = self.caller_if_in() {
                caller.set_publisher(client);
            }
        }
    }

    /// Where clients are told to find us: as configured, or where they have found us already.
    pub(crate) fn advertised(&self) -> (Text, i32) {
        let local = self.info.local;
        let found = || {
            (
                Text::from(local.ip().to_canonical().to_string()),
                local.port(),
            )
        };
        let (host, port) = self.settings.advertised.clone().unwrap_or_else(found);
        (host, i32::from(port))
    }
}
