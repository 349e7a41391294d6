//! What the entities of a store are called: read from the definitions that lie among its records.

use std::collections::BTreeMap;

use fairlead_backends::{Entry, Said};
use fairlead_canon::EntityId;
use fairlead_kernel::Family;
use fairlead_ports::Op;
use serde_json::{Value, json};

/// The streams that entities are, or were, lanes of: a number is never used again.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<EntityId, Name>);

#[derive(Debug)]
struct Name {
    family: &'static str,
    stream: String,
    lane: usize,
}

impl Names {
    /// Learns from a record, if it holds a definition.
    pub(super) fn learn(&mut self, entry: &Entry) {
        let Said::Op(Op::Put {
            space,
            value: Some(value),
            ..
        }) = &entry.said
        else {
            return;
        };
        let Some(stream) = fairlead_kernel::defined(*space, value) else {
            return;
        };
        for (lane, entity) in stream.lanes.iter().enumerate() {
            let name = Name {
                family: family(stream.key.family),
                stream: stream.key.name.to_string(),
                lane,
            };
            self.0.insert(*entity, name);
        }
    }

    /// For people: `entity 7 (log "a", lane 0)`.
    pub(super) fn readable(&self, entity: EntityId) -> String {
        match self.0.get(&entity) {
            Some(name) => format!(
                "entity {} ({} {:?}, lane {})",
                entity.0, name.family, name.stream, name.lane
            ),
            None => format!("entity {}", entity.0),
        }
    }

    /// For programs. The number is text: it needs more than the 53 bits that many of them keep.
    pub(super) fn json(&self, entity: EntityId) -> Value {
        match self.0.get(&entity) {
            Some(name) => json!({
                "entity": entity.0.to_string(),
                "family": name.family,
                "stream": name.stream,
                "lane": name.lane,
            }),
            None => json!({ "entity": entity.0.to_string() }),
        }
    }
}

/// As the admin page names them.
fn family(family: Family) -> &'static str {
    match family {
        Family::Log => "log",
        Family::Queue => "queue",
        Family::Mailbox => "mailbox",
        Family::Latest => "latest",
    }
}
