//! A kept session as operators are told of it.

use fairlead_canon::{Pattern, Principal};
use fairlead_kernel::{Extent, Family, KeptSession, KeptSubscription, Kernel, Stream};

use super::grants::standing;
use super::subscriptions::{Entry, Standing, Subscriptions};
use crate::map::ORIGIN;

/// What the stream of a client's messages says of its session; `None` for every other stream.
pub(crate) fn told(kept: &Stream, kernel: &Kernel) -> Option<KeptSession> {
    let is_ours = kept.origin == ORIGIN && kept.key.family == Family::Mailbox;
    let document = Some(&kept.document).filter(|_| is_ours)?;
    let (user, subscriptions) = Subscriptions::from_document(document)?;
    let who = Principal {
        client: kept.key.name.clone(),
        name: user.clone(),
        ..Principal::anonymous()
    };
    let may_subscribe = |pattern: &Pattern| kernel.may_subscribe(&who, pattern);
    let told = |entry: &Entry| {
        let granted = match standing(entry, may_subscribe) {
            Ok(Standing::Granted) => Some(Extent::Whole),
            Ok(Standing::Narrowed) => Some(Extent::Part),
            Ok(Standing::Suspended) | Err(_) => None,
        };
        subscription(entry, granted)
    };
    Some(KeptSession {
        subscriptions: subscriptions.iter().map(told).collect(),
        user,
    })
}

fn subscription(entry: &Entry, granted: Option<Extent>) -> KeptSubscription {
    let mut terms = format!("QoS {}", entry.qos as u8);
    let options = [
        (entry.no_local, ", no local"),
        (entry.retain_as_published, ", retain as published"),
    ];
    let options = options.iter().filter(|(is_set, _)| *is_set);
    options.for_each(|(_, words)| terms.push_str(words));
    if let Some(id) = entry.id {
        terms.push_str(&format!(", identifier {}", id.get()));
    }
    KeptSubscription {
        filter: entry.filter.clone(),
        terms,
        granted,
    }
}
