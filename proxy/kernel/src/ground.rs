//! Where declarations take effect: topology, store and hub, changed together.

use std::sync::Arc;

use fairlead_canon::{EntityId, Kind, Promise, SizeLimits, Spec, Timestamp};
use fairlead_ports::{Clock, Commit, Op, Ops, Store, StoreError, Unit};
use fairlead_topology::{Applied, Change, Declared, Stream, StreamKey, Topology};

use crate::Error;
use crate::atlas::Atlas;
use crate::hub::Hub;
use crate::roll::Roll;

/// What a declaration changes.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) atlas: Arc<Atlas>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) roll: Arc<Roll>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A declaration that others see and that is with the store.
pub(crate) struct Begun {
    declared: Declared,
    applied: Vec<Applied>,
    /// `None` where nothing of it has to be kept.
    kept: Option<Commit>,
}

impl Ground {
    /// Applies changes and keeps what `unit` says of them, or leaves everything as it was.
    pub(crate) async fn declare(
        &self,
        change: impl FnOnce(&mut Topology, Timestamp) -> Result<(Declared, Vec<Applied>), Error>,
        unit: impl FnOnce(&[Applied], &Topology) -> Result<Unit, Error>,
    ) -> Result<Declared, Error> {
        self.end(self.begin(change, unit)?).await
    }

    /// Applies changes and hands over what `unit` says of them.
    pub(crate) fn begin(
        &self,
        change: impl FnOnce(&mut Topology, Timestamp) -> Result<(Declared, Vec<Applied>), Error>,
        unit: impl FnOnce(&[Applied], &Topology) -> Result<Unit, Error>,
    ) -> Result<Begun, Error> {
        let now = self.clock.wall();
        // Handed to the store before others see it: whoever publishes to a new stream comes after.
        self.atlas.write(|topology| {
            let (declared, applied) = change(topology, now)?;
            let kept = match unit(&applied, topology) {
                // What ends with its connection is nowhere but here.
                Ok(unit) if unit.ops.is_empty() => None,
                Ok(unit) => Some(self.store.commit([unit].into())),
                Err(error) => {
                    topology.undo(applied);
                    return Err(error);
                }
            };
            // While nobody can look: who asks the policy before this was written asks it again.
            if is_of_directory(&applied) {
                self.roll.turn_page();
            }
            Ok(Begun {
                declared,
                applied,
                kept,
            })
        })
    }

    /// Sees to it that what was begun is kept, or leaves everything as it was.
    pub(crate) async fn end(&self, begun: Begun) -> Result<Declared, Error> {
        let applied = begun.applied;
        let kept = match begun.kept {
            Some(kept) => kept
                .await
                .pop()
                .unwrap_or(Err(StoreError::Unavailable))
                .map(drop),
            None => Ok(()),
        };
        let is_of_directory = is_of_directory(&applied);
        if let Err(error) = kept {
            self.atlas.write(|topology| topology.undo(applied));
            if is_of_directory {
                self.roll.turn_page();
                self.roll.tell();
            }
            return Err(error.into());
        }
        if is_of_directory {
            self.roll.tell();
        }
        self.forget(&applied);
        for step in &applied {
            if let Applied::Stream(stream) = step {
                self.hub.pin(&*self.store, stream).await?;
            }
        }
        Ok(begun.declared)
    }

    /// Applies changes of which nothing has to be kept but the entities themselves.
    pub(crate) async fn declare_fleeting(&self, changes: Vec<Change>) -> Result<Declared, Error> {
        self.declare(
            |topology, now| Ok(topology.apply(changes, now)?),
            |applied, _| Ok(entities(applied)),
        )
        .await
    }

    /// Removes a stream in memory of which nothing is kept; `false` when it is not there.
    pub(crate) fn remove_fleeting(&self, key: &StreamKey) -> bool {
        let now = self.clock.wall();
        let removed = self.atlas.write(|topology| {
            let remove = vec![Change::RemoveStream(key.clone())];
            let (_, applied) = topology.apply(remove, now).ok()?;
            // Taken by the store when this returns, and nobody has to be told more.
            drop(self.store.commit([entities(&applied)].into()));
            Some(applied)
        });
        removed.inspect(|applied| self.forget(applied)).is_some()
    }

    /// Tells those who take part in what was removed.
    fn forget(&self, applied: &[Applied]) {
        for step in applied {
            if let Applied::StreamGone(stream) = step {
                let lanes = stream.lanes.iter();
                lanes.for_each(|lane| self.hub.remove(*lane));
            }
        }
    }
}

/// Whether policies may say something else because of these steps.
fn is_of_directory(applied: &[Applied]) -> bool {
    let mut steps = applied.iter();
    steps.any(|step| matches!(step, Applied::Entry { .. }))
}

/// What becomes of the entities by these steps.
fn entities(applied: &[Applied]) -> Unit {
    let mut ops = Ops::new();
    applied.iter().for_each(|step| entity_ops(step, &mut ops));
    Unit {
        ops,
        promise: Promise::Accepted,
    }
}

/// What becomes of the entities by one step.
pub(crate) fn entity_ops(step: &Applied, ops: &mut Ops) {
    match step {
        Applied::Stream(stream) => {
            let create = |entity: &EntityId| Op::Create {
                entity: *entity,
                spec: spec(stream),
            };
            ops.extend(stream.lanes.iter().map(create));
        }
        Applied::Altered { old, new } => {
            let (was, spec) = (spec(old), spec(new));
            for entity in new.lanes.iter().copied() {
                if !old.lanes.contains(&entity) {
                    ops.push(Op::Create { entity, spec });
                } else if was != spec {
                    ops.push(Op::Alter { entity, spec });
                }
            }
        }
        Applied::StreamGone(stream) => {
            ops.extend(
                stream
                    .lanes
                    .iter()
                    .map(|entity| Op::Delete { entity: *entity }),
            );
        }
        Applied::Realm(_)
        | Applied::RealmGone(_)
        | Applied::Bound(_)
        | Applied::Unbound(_)
        | Applied::Entry { .. } => {}
    }
}

fn spec(stream: &Stream) -> Spec {
    // What is ready in a queue is not for the store to know.
    let limits = if stream.kind == Kind::Log || stream.limits_ready() {
        SizeLimits::default()
    } else {
        stream.limits()
    };
    let settings = stream.settings();
    Spec {
        limits,
        sync: settings.sync,
        retention: settings.retention,
        compaction: settings.compaction,
        keeps_dead: settings.dead_letter.is_some(),
        ..Spec::new(stream.kind, stream.class)
    }
}
