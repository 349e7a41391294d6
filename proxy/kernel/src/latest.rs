//! The latest value of each address.

use bytes::Bytes;
use fairlead_canon::{Address, Message, Part, Path, Pattern, Principal, RealmId};
use fairlead_ports::{Action, Verdict};

use crate::reach::latest_key;
use crate::{Caller, Error};

/// Keys read at a time.
const PAGE: usize = 256;

impl Caller {
    /// The latest values at addresses that a pattern matches, in order of address, after `after`.
    /// Expired ones are left out, and damaged ones, which are counted. The second value is where the
    /// next page begins; `None` at the end.
    pub async fn latest(
        &self,
        pattern: &Pattern,
        after: Option<Bytes>,
    ) -> Result<(Vec<Message>, Option<Bytes>), Error> {
        let log = self.kernel.backing.store.open(self.kernel.latest)?;
        let page = log.latest(literal_prefix(pattern), after, PAGE).await?;
        let last = page.entries.last().filter(|_| page.is_cut);
        let mut next = last.map(|(key, _)| key.clone());
        if let Some((key, error)) = page.damaged {
            tracing::error!(%error, "a latest value is left out");
            self.meters.failed(&error.into());
            next = Some(key);
        }
        let nowhere = Address::new(RealmId::SHARED, Path::EMPTY);
        let now = self.kernel.clock().wall();
        let mut messages = Vec::new();
        for (key, stored) in page.entries {
            let is_wanted = key
                .get(8..)
                .and_then(|path| Path::from_stored(key.slice_ref(path)).ok())
                .is_some_and(|path| pattern.matches(&path));
            if is_wanted {
                let opened = stored.batch.open(&nowhere)?;
                let live = opened
                    .into_iter()
                    .filter(|one| !one.message.terms.is_expired(now));
                messages.extend(live.map(|one| one.message));
            }
        }
        Ok((messages, next))
    }

    /// Whether the rules let somebody publish to an address: whose value is the latest there may have lost the grant.
    pub fn may_publish(&self, who: &Principal, to: &Address) -> bool {
        self.kernel.policy.admit(who, &Action::Publish(to)) == Verdict::Yes
    }
}

/// The key prefix that every address matched by a pattern has.
fn literal_prefix(pattern: &Pattern) -> Bytes {
    let literals = pattern.parts.iter().map_while(|part| match part {
        Part::Literal(segment) => Some(segment),
        Part::One | Part::Many => None,
    });
    let path = Path::from_segments(literals).unwrap_or(Path::EMPTY);
    latest_key(&Address::new(pattern.realm, path))
}
