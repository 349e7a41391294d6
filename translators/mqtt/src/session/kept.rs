//! A kept session as operators are told of it.

use fairlead_kernel::{Family, KeptSession, KeptSubscription, Stream};

use super::subscriptions::{Entry, Subscriptions};
use crate::map::ORIGIN;

/// What the stream of a client's messages says of its session; `None` for every other stream.
pub(crate) fn told(kept: &Stream) -> Option<KeptSession> {
    let is_ours = kept.origin == ORIGIN && kept.key.family == Family::Mailbox;
    let document = Some(&kept.document).filter(|_| is_ours)?;
    let (user, subscriptions) = Subscriptions::from_document(document)?;
    Some(KeptSession {
        user,
        subscriptions: subscriptions.iter().map(subscription).collect(),
    })
}

fn subscription(entry: &Entry) -> KeptSubscription {
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
    }
}
