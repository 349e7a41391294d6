//! From topic names and aliases to addresses, each worked out once per connection.

use fairlead_canon::{Address, Text};
use fairlead_kernel::Io;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::{Session, share};
use crate::map;
use crate::rewrite::Use;

/// Topics that a connection published to of late, and the aliases it gave them: nothing while it only
/// listens.
#[derive(Debug, Default)]
pub(super) struct Topics(Option<Box<Used>>);

#[derive(Debug, Default)]
struct Used {
    known: HashMap<Text, Address, RandomState>,
    aliases: Vec<Option<Address>>,
}

/// Topics that are remembered per connection: enough for a device, little for an idle connection.
const KNOWN_MAX: usize = 64;

impl Topics {
    /// Highest alias that a client may use: as many as topics are remembered.
    pub(super) const ALIAS_MAX: u16 = 64;

    /// The address of a topic name, which `look` finds if it is not remembered.
    fn address(
        &mut self,
        topic: &Text,
        look: impl FnOnce(&Text) -> Option<Address>,
    ) -> Option<Address> {
        let known = self.0.as_ref().and_then(|used| used.known.get(topic));
        if let Some(address) = known {
            return Some(address.clone());
        }
        let address = look(topic)?;
        let known = &mut self.0.get_or_insert_default().known;
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        // A copy: a slice would keep the whole read buffer in memory.
        known.insert(Text::from(topic.to_string()), address.clone());
        Some(address)
    }

    /// Where an alias is kept; 0 and those above the maximum do not exist.
    pub(super) fn place(alias: u16) -> Option<usize> {
        (1..=Self::ALIAS_MAX)
            .contains(&alias)
            .then(|| usize::from(alias) - 1)
    }

    /// The address behind an alias.
    pub(super) fn aliased(&self, place: usize) -> Option<Address> {
        self.0.as_ref()?.aliases.get(place)?.clone()
    }

    /// Gives an address the alias of a [`Topics::place`].
    pub(super) fn set_alias(&mut self, place: usize, address: &Address) {
        let aliases = &mut self.0.get_or_insert_default().aliases;
        if aliases.len() <= place {
            aliases.resize(place + 1, None);
        }
        if let Some(slot) = aliases.get_mut(place) {
            *slot = Some(address.clone());
        }
    }
}

impl<I: Io> Session<I> {
    /// The address of a topic name; `None` when nobody may publish there.
    pub(super) fn address_of(&mut self, topic: &Text) -> Option<Address> {
        let (rules, client) = (&self.settings.rewrite, self.client.named(&self.caller));
        let look = |topic: &Text| map::address_of(&rules.rewritten(Use::Publish, topic, client)?);
        self.topics.address(topic, look)
    }

    /// What a topic is called here; `None` when that is no topic.
    pub(super) fn rewritten(&self, used: Use, topic: &Text) -> Option<Text> {
        let client = self.client.named(&self.caller);
        self.settings.rewrite.rewritten(used, topic, client)
    }

    /// The same for a filter, of which a group or the like stays as it is.
    pub(super) fn filter_of(&self, filter: &Text) -> Option<Text> {
        let inner = share::inner(filter).unwrap_or(filter);
        let prefix = filter.strip_suffix(inner).unwrap_or_default();
        let becomes = self.rewritten(Use::Subscribe, &Text::from(inner.to_owned()))?;
        match becomes == *inner {
            true => Some(filter.clone()),
            false => Some(Text::from(format!("{prefix}{becomes}"))),
        }
    }
}
