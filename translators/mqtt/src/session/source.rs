//! Retained messages of those who may no longer publish where they did.

use fairlead_canon::Message;
use fairlead_kernel::Io;

use super::Session;
use crate::map;

impl<I: Io> Session<I> {
    /// Whether who retained a message may still publish there, as far as it is known who that was.
    pub(super) fn is_vouched_for(&self, message: &Message) -> bool {
        let may = |who| self.caller.may_publish(&who, &message.address);
        !self.settings.checks_retain_source || map::source(message).is_none_or(may)
    }
}
