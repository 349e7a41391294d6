//! What the kernel's own tasks work with.

use std::sync::Arc;

use fairlead_canon::EntityId;
use fairlead_ports::{Clock, Store};

use crate::Error;
use crate::atlas::Atlas;
use crate::delay::Delays;
use crate::hub::Hub;
use crate::live::Subscriptions;
use crate::metrics::Buried;
use crate::undertaker::Undertaker;

/// Shared by the tasks that look after queues.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) atlas: Arc<Atlas>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) subscriptions: Arc<Subscriptions>,
    pub(crate) undertaker: Arc<Undertaker>,
    /// Holds the latest value of every address.
    pub(crate) latest: EntityId,
    pub(crate) buried: Buried,
}

impl House {
    /// Starts the tasks on the current runtime: they look at what was left when the process stopped.
    pub(crate) async fn start(self, delays: &Arc<Delays>) -> Result<(), Error> {
        let house = Arc::new(self);
        house.undertaker.start(&house);
        house.hub.expiry().start(&house);
        Ok(delays.start(&house).await?)
    }
}
