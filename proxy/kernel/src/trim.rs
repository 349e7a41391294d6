//! Forgetting the oldest messages of a log because somebody says so.

use fairlead_canon::{EntityId, Offset, Promise};
use fairlead_ports::{Action, Op, Unit};
use fairlead_topology::StreamKey;

use crate::{Caller, Error, Reason};

impl Caller {
    /// Forgets everything below `to` in one lane of a stream; durable on return. `OutOfRange` when
    /// `to` lies above its end; below its start nothing happens.
    pub async fn trim(&self, key: &StreamKey, lane: EntityId, to: Offset) -> Result<(), Error> {
        self.admit(&Action::Declare(&key.name))?;
        let stream = self.own_or_shared(key)?;
        if !stream.lanes.contains(&lane) {
            let detail = format!("{:?} has no lane {}", &*key.name, lane.0);
            return Err(Error::peer(Reason::Unknown, detail));
        }
        let trim = Op::Trim { entity: lane, to };
        self.kernel
            .commit_one(Unit {
                ops: [trim].into(),
                promise: Promise::Durable,
            })
            .await
    }
}
