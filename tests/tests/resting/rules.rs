//! Rules that a test changes while clients rest.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{Address, Principal, Text};
use fairlead_kernel::testing::OpenHouse;
use fairlead_kernel::{Change, ConnInfo, Kernel, Login};
use fairlead_ports::{Action, Denied, Directory, Policy, Verdict};

/// Lets everybody in and do everything, but for what is noted.
#[derive(Debug)]
pub(crate) struct Notes(pub(crate) Arc<dyn Directory>);

/// What can be noted that nobody does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Note {
    Subscribing,
    HearingSecrets,
    Staying,
}

impl Note {
    fn name(self) -> &'static str {
        match self {
            Self::Subscribing => "nobody subscribes",
            Self::HearingSecrets => "nobody hears secrets",
            Self::Staying => "nobody stays",
        }
    }

    /// Notes it, or takes it back.
    pub(crate) async fn put(self, kernel: &Arc<Kernel>, holds: Option<()>) {
        let change = Change::PutEntry {
            namespace: Text::from_static("notes"),
            key: Bytes::from_static(self.name().as_bytes()),
            value: holds.map(|()| Bytes::new()),
        };
        let mut operator = kernel.operator().expect("its counters are there");
        let declared = operator.declare(vec![change]).await;
        declared.expect("the store takes it");
    }
}

fn is_secret(from: &Address) -> bool {
    from.path.segments().next() == Some(b"secret")
}

impl Policy for Notes {
    fn name(&self) -> &'static str {
        "notes"
    }

    fn admit(&self, _: &Principal, action: &Action<'_>) -> Verdict {
        let holds = |note: Note| self.0.get("notes", note.name().as_bytes()).is_some();
        let denied = Denied {
            policy: "notes",
            why: "it is noted",
        };
        match action {
            Action::Subscribe(_) if holds(Note::Subscribing) => Verdict::No(denied),
            Action::Subscribe(_) if holds(Note::HearingSecrets) => Verdict::Part(denied),
            Action::Receive { from, .. } if is_secret(from) && holds(Note::HearingSecrets) => {
                Verdict::No(denied)
            }
            Action::Stay if holds(Note::Staying) => Verdict::No(denied),
            Action::Connect(_)
            | Action::Stay
            | Action::Publish(_)
            | Action::Subscribe(_)
            | Action::Receive { .. }
            | Action::Consume(_)
            | Action::Declare(_) => Verdict::Yes,
        }
    }

    fn mechanisms(&self, conn: &ConnInfo) -> &'static [&'static str] {
        OpenHouse.mechanisms(conn)
    }

    fn login(&self, conn: &ConnInfo, mechanism: &str) -> Option<Box<dyn Login>> {
        OpenHouse.login(conn, mechanism)
    }
}
