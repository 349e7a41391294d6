//! Rules that a test changes while clients rest.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{Principal, Text};
use fairlead_kernel::testing::OpenHouse;
use fairlead_kernel::{Change, ConnInfo, Kernel, Login};
use fairlead_ports::{Action, Denied, Directory, Policy, Verdict};

/// Lets everybody in and do everything, but for what is noted.
#[derive(Debug)]
pub(crate) struct Notes(pub(crate) Arc<dyn Directory>);

/// What can be noted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Note {
    NobodySubscribes,
    NobodyStays,
}

impl Note {
    fn name(self) -> &'static str {
        match self {
            Self::NobodySubscribes => "nobody subscribes",
            Self::NobodyStays => "nobody stays",
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

impl Policy for Notes {
    fn name(&self) -> &'static str {
        "notes"
    }

    fn admit(&self, _: &Principal, action: &Action<'_>) -> Verdict {
        let note = match action {
            Action::Subscribe(_) => Note::NobodySubscribes,
            Action::Stay => Note::NobodyStays,
            Action::Connect(_)
            | Action::Publish(_)
            | Action::Receive { .. }
            | Action::Consume(_)
            | Action::Declare(_) => return Verdict::Yes,
        };
        match self.0.get("notes", note.name().as_bytes()) {
            None => Verdict::Yes,
            Some(_) => Verdict::No(Denied {
                policy: "notes",
                why: "it is noted",
            }),
        }
    }

    fn mechanisms(&self, conn: &ConnInfo) -> &'static [&'static str] {
        OpenHouse.mechanisms(conn)
    }

    fn login(&self, conn: &ConnInfo, mechanism: &str) -> Option<Box<dyn Login>> {
        OpenHouse.login(conn, mechanism)
    }
}
