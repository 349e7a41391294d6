//! EXTERNAL (RFC 4422): who the client is was shown beneath the protocol, by its certificate.

use bytes::Bytes;
use fairlead_canon::{Proof, Text};
use fairlead_ports::{BoxFuture, Login, Step};

use crate::rule::proven;

pub(crate) const NAME: &str = "EXTERNAL";

#[derive(Debug)]
pub(crate) struct External {
    pub(crate) name: Text,
}

impl Login for External {
    fn step<'a>(&'a mut self, act_for: &'a [u8]) -> BoxFuture<'a, Step> {
        // Acting for somebody else is not offered.
        let is_self = act_for.is_empty() || act_for == self.name.as_bytes().as_ref();
        let step = if is_self {
            let who = proven(&self.name, Proof::Certificate);
            Step::Done(who, Bytes::new())
        } else {
            Step::Refused("a certificate of another name")
        };
        Box::pin(std::future::ready(step))
    }
}
