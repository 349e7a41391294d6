//! Patterns of which a caller may read a part.

use fairlead_canon::Principal;
use fairlead_kernel::testing::CountingEntropy;
use fairlead_kernel::{Backing, Binding, Destination, Extent, Match, Reason};
use fairlead_ports::{Action, Denied, Policy, Verdict};

use crate::*;

/// Lets nobody read what is called `secret`, and the rest of what a wildcard sees.
#[derive(Debug)]
struct NoSecrets;

impl Policy for NoSecrets {
    fn name(&self) -> &'static str {
        "no-secrets"
    }

    fn admit(&self, _: &Principal, action: &Action<'_>) -> Verdict {
        let why = Denied {
            policy: "no-secrets",
            why: "it is secret",
        };
        match action {
            Action::Subscribe(asked) if asked.matches(&shared("secret").path) => {
                match *asked.parts {
                    [Part::Literal(_)] => Verdict::No(why),
                    _ => Verdict::Part(why),
                }
            }
            Action::Receive { from, .. } if **from == shared("secret") => Verdict::No(why),
            _ => Verdict::Yes,
        }
    }
}

fn bound(to: StreamKey, filter: &str) -> Vec<Change> {
    let pattern = pattern(filter);
    let binding = Binding {
        from: pattern.realm,
        on: Match::Pattern(pattern),
        to: Destination::Stream(to.clone()),
        no_local: false,
        document: Bytes::new(),
    };
    let stream = NewStream::new(to, Kind::Queue, Class::Local, ORIGIN);
    vec![Change::CreateStream(stream), Change::Bind(binding)]
}

#[tokio::test]
async fn a_part_is_enough_for_a_reader_who_asks_about_each_message_and_for_nobody_else() {
    let store = Arc::new(Memory::new(1 << 30));
    let backing = Backing {
        store: Arc::clone(&store) as Arc<dyn Store>,
        documents: store,
        clock: Arc::new(ManualClock::at(1_000_000)),
        entropy: Arc::new(CountingEntropy::default()),
    };
    let rules = |_| Arc::new(NoSecrets) as Arc<dyn Policy>;
    let kernel = Kernel::open(backing, rules).await.unwrap();
    let mut caller = enter(&kernel);

    assert_eq!(caller.may_subscribe(&pattern("open")), Ok(Extent::Whole));
    assert_eq!(caller.may_subscribe(&pattern("#")), Ok(Extent::Part));
    let refused = caller.may_subscribe(&pattern("secret")).unwrap_err();
    assert_eq!(refused.reason, Reason::Denied);
    assert!(caller.may_receive(&pattern("#"), &shared("open")));
    assert!(!caller.may_receive(&pattern("#"), &shared("secret")));

    let live = |filter| Attach::new(Source::Live(pattern(filter)), 1);
    assert!(caller.attach(live("#")).await.is_ok());
    let refused = caller.attach(live("secret")).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Denied);

    let mailbox = |name| StreamKey::new(Family::Mailbox, name);
    for (to, filter, is_allowed) in [
        (mailbox("a"), "#", true),
        (mailbox("b"), "secret", false),
        (queue_key("c"), "#", false),
        (queue_key("d"), "open", true),
    ] {
        let declared = caller.declare(bound(to, filter)).await;
        let refusal = declared.err().map(|error| error.reason);
        let wanted = (!is_allowed).then_some(Reason::Denied);
        assert_eq!(refusal, wanted, "{filter}");
    }
}
