//! What a caller gives back that was busy and is idle.

use std::collections::VecDeque;

use fairlead_delivery::Queue;

use crate::Caller;
use crate::bodies::Bodies;
use crate::consume::Attached;
use crate::outbox::Outbox;
use crate::showing::Showing;

impl Caller {
    /// Gives back the room for what comes and goes, as far as nothing is there; it is made again when it is needed. For a
    /// caller that has been idle for a while: a busy one would make it again each time.
    pub fn slim(&mut self) {
        self.spare = None;
        self.routes = None;
        self.showing.give_back_if(Showing::is_blank);
        self.ready.give_back_if(VecDeque::is_empty);
        self.bodies.give_back_if(Bodies::is_empty);
        self.outbox.give_back_if(Outbox::is_blank);
        self.inbox.slim();
        for (_, attached) in self.attachments.iter() {
            if let Attached::Queue(attached) = attached {
                attached.hot.quietly(Queue::slim);
            }
        }
    }
}
