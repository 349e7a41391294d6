//! What most units are: one message for one entity that has room, the end of deliveries
//! from one, or one that comes or goes. They are judged as they stand, without the draft by which `judge.rs` looks at several
//! operations.

use fairlead_canon::Batch;
use fairlead_ports::terms::{keyed, sane, settles, transacted};
use fairlead_ports::{Op, Place, Placed, Placement, Target, Unit};

use crate::judge::{BODY_BYTES_MAX, weight_of};
use crate::world::World;

/// What becomes of such a unit.
pub(crate) enum Lone {
    /// Its batch is appended there, and counts for so much.
    Append(Placed, u64),
    /// It is applied as it stands.
    Plain,
}

/// What becomes of such a unit. `None`: it is another, or something speaks against it, and `judge`
/// says what.
pub(crate) fn judge_lone(world: &World, unit: &Unit) -> Option<Lone> {
    match &*unit.ops {
        [Op::Append { to, batch }] => {
            let [target] = &**to else { return None };
            let (placed, weight) = place(world, target, batch)?;
            Some(Lone::Append(placed, weight))
        }
        [Op::Settle { entity, cursor, .. }] => {
            let kind = world.entities.used(*entity)?.spec.kind;
            settles(kind, *cursor).is_ok().then_some(Lone::Plain)
        }
        [Op::Create { entity, .. }] => (!world.entities.contains(*entity)).then_some(Lone::Plain),
        [Op::Delete { entity }] => world.entities.contains(*entity).then_some(Lone::Plain),
        _ => None,
    }
}

fn place(world: &World, target: &Target, batch: &Batch) -> Option<(Placed, u64)> {
    let entity = world.entities.used(target.entity)?;
    let (spec, limits) = (&entity.spec, &entity.spec.limits);
    let weight = weight_of(batch, 1);
    let (count, bytes) = (u64::from(batch.count), || {
        u64::from(batch.weight(spec.kind))
    });
    let is_taken = is_plain(target, batch)
        && limits
            .count_max
            .is_none_or(|max| entity.count() + count <= max)
        && limits
            .bytes_max
            .is_none_or(|max| entity.bytes() + bytes() <= max)
        && spec.tag == target.tag
        && keyed(spec.kind, batch).is_ok()
        && transacted(spec.kind, batch).is_ok()
        && world.weight + weight <= world.weight_max;
    let placed = Placed {
        entity: target.entity,
        base: entity.end,
        how: Placement::New,
    };
    is_taken.then_some((placed, weight))
}

/// Whether it is a sane batch of nobody in particular, for wherever the end is.
fn is_plain(target: &Target, batch: &Batch) -> bool {
    matches!(target.place, Place::Next | Place::IfRoom)
        && batch.stamp.is_none()
        && batch.bytes.len() <= BODY_BYTES_MAX
        && sane(batch).is_ok()
}
