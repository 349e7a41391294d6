//! A session that is removed while its client comes back.

use std::time::Duration;

use fairlead_canon::{Class, Kind, Origin, Principal, Text};
use fairlead_kernel::testing::{Manner, conn_info};
use fairlead_kernel::{Caller, Change, Family, NewStream, StreamKey};
use fairlead_mqtt::codec::{ConnAck, Connect, Property, Qos, ReasonCode, Version};
use fairlead_ports::{BoxFuture, Commit, Store, StoreError, Units};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::peer::{Mesh, Peer, hello, kept, puback, pubrec, qos1, qos2, with};

/// Of what the tests declare themselves.
const ORIGIN: Origin = Origin(200);

/// Keeps callers waiting while a test says so.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Commits have taken effect, and nobody is told.
    pub(crate) commits: watch::Sender<bool>,
    /// Documents are not listed.
    pub(crate) lists: watch::Sender<bool>,
    /// Nothing is kept, and why.
    pub(crate) refuses: watch::Sender<Option<StoreError>>,
}

async fn until_let_go(mut is_held: watch::Receiver<bool>) {
    // A store that is gone holds nobody.
    let _gone = is_held.wait_for(|is_held| !is_held).await;
}

impl Manner for Held {
    fn commit(&self, below: &dyn Store, units: Units) -> Commit {
        if let Some(why) = &*self.refuses.borrow() {
            return Commit::ended(units.iter().map(|_| Err(why.clone())).collect());
        }
        let (committed, is_held) = (below.commit(units), self.commits.subscribe());
        Commit::steps(async move {
            until_let_go(is_held).await;
            committed.await
        })
    }

    fn before_list(&self) -> BoxFuture<'_, ()> {
        Box::pin(until_let_go(self.lists.subscribe()))
    }
}

/// Paused time goes on only when nobody can do anything more.
async fn all_wait() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// A connection of no protocol.
fn somebody(mesh: &Mesh) -> Caller {
    let who = Principal::anonymous();
    let entered = mesh.kernel.enter(&conn_info(1_000), who, ("test", ORIGIN));
    entered.unwrap()
}

fn declare(mesh: &Mesh, change: Change) -> JoinHandle<()> {
    let mut caller = somebody(mesh);
    tokio::spawn(async move {
        caller.declare(vec![change]).await.unwrap();
    })
}

fn mailbox(name: &'static str) -> StreamKey {
    StreamKey::new(Family::Mailbox, Text::from_static(name))
}

/// A session with subscriptions of both kinds and a remembered packet id, whose client is away.
async fn leave_session(mesh: &Mesh) {
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.subscribe("kept", Qos::AtLeastOnce).await;
    reader.subscribe("live", Qos::AtMostOnce).await;
    reader.send(qos2(7, "t", b"x")).await;
    let nobody = ReasonCode::NO_MATCHING_SUBSCRIBERS;
    reader.expect(pubrec(7, nobody)).await;
    reader.vanish().await;
}

/// The client was let in, with a session of which the one before it is no part.
async fn expect_new_session(mesh: &Mesh, (mut reader, answer): (Peer, ConnAck)) {
    assert!(!answer.session_present);
    let nobody = ReasonCode::NO_MATCHING_SUBSCRIBERS;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for topic in ["kept", "live"] {
        writer.send(qos1(1, topic, b"x")).await;
        writer.expect(puback(1, nobody)).await;
    }
    // Were the packet id remembered, this would not be published.
    reader.send(qos2(7, "t", b"x")).await;
    reader.expect(pubrec(7, nobody)).await;
    reader.expect_nothing().await;
}

async fn expect_kept(mesh: &Mesh, connect: Connect) {
    let (mut reader, answer) = mesh.accepted(connect).await;
    assert!(answer.session_present);
    reader.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_removed_before_it_is_attached_is_begun_anew() {
    let (mesh, store) = Mesh::held().await;
    leave_session(&mesh).await;
    store.manner.lists.send_replace(true);
    let remove = async {
        all_wait().await;
        let removed = declare(&mesh, Change::RemoveStream(mailbox("reader")));
        removed.await.unwrap();
        store.manner.lists.send_replace(false);
    };
    let (came, ()) = tokio::join!(mesh.accepted(kept(Version::V5, "reader")), remove);
    expect_new_session(&mesh, came).await;
    expect_kept(&mesh, kept(Version::V5, "reader")).await;
}

/// Comes back while the removal of its session waits for its turn, before its own declaration.
async fn come_back_behind_a_removal(mesh: &Mesh, held: &Held, connect: Connect) -> (Peer, ConnAck) {
    leave_session(mesh).await;
    held.commits.send_replace(true);
    let other = NewStream::new(mailbox("other"), Kind::Queue, Class::Local, ORIGIN);
    let first = declare(mesh, Change::CreateStream(other));
    all_wait().await;
    let second = declare(mesh, Change::RemoveStream(mailbox("reader")));
    all_wait().await;
    let go_on = async {
        all_wait().await;
        held.commits.send_replace(false);
    };
    let (came, ()) = tokio::join!(mesh.accepted(connect), go_on);
    first.await.unwrap();
    second.await.unwrap();
    came
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_removed_before_its_terms_change_is_begun_anew() {
    let (mesh, store) = Mesh::held().await;
    let longer = || Connect {
        properties: with([Property::SessionExpiry(7_200)]),
        ..kept(Version::V5, "reader")
    };
    let came = come_back_behind_a_removal(&mesh, &store.manner, longer()).await;
    expect_new_session(&mesh, came).await;
    expect_kept(&mesh, longer()).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_removed_before_a_clean_start_ends_it_hinders_nobody() {
    let (mesh, store) = Mesh::held().await;
    let clean = hello(Version::V5, "reader");
    let came = come_back_behind_a_removal(&mesh, &store.manner, clean).await;
    expect_new_session(&mesh, came).await;
    let (_, answer) = mesh.accepted(kept(Version::V5, "reader")).await;
    assert!(!answer.session_present);
}

#[tokio::test(start_paused = true)]
async fn a_removed_session_that_was_to_end_with_the_connection_leaves_no_mailbox() {
    let (mesh, store) = Mesh::held().await;
    let ending = Connect {
        clean_start: false,
        ..hello(Version::V5, "reader")
    };
    let (mut reader, answer) = come_back_behind_a_removal(&mesh, &store.manner, ending).await;
    reader.subscribe("kept", Qos::AtLeastOnce).await;
    assert!(!answer.session_present);
    let is_there = |name| {
        mesh.kernel
            .topology(|topology| topology.stream(&mailbox(name)).is_some())
    };
    assert!(!is_there("reader"), "its mailbox has a name of its own");
    reader.goodbye().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_to_end_with_the_connection_does_not_end_before_it_is_attached() {
    let (mesh, store) = Mesh::held().await;
    leave_session(&mesh).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos1(1, "kept", b"x")).await;
    writer.expect(puback(1, ReasonCode::SUCCESS)).await;
    store.manner.lists.send_replace(true);
    let go_on = async {
        all_wait().await;
        store.manner.lists.send_replace(false);
    };
    let ending = Connect {
        clean_start: false,
        ..hello(Version::V5, "reader")
    };
    let ((mut reader, answer), ()) = tokio::join!(mesh.accepted(ending), go_on);
    assert!(answer.session_present);
    assert_eq!(&reader.next_publish().await.payload[..], b"x");
}

//= MQTT311-4.8.0-2
//= MQTT-3.4.2-1
//= MQTT-3.5.2-1
#[tokio::test]
async fn a_store_that_is_away_ends_the_connection_that_publishes() {
    let (mesh, store) = Mesh::held().await;
    for (version, word) in [
        (Version::V311, None),
        (Version::V5, Some(ReasonCode::SERVER_BUSY)),
    ] {
        let mut reader = mesh.accepted(kept(version, "reader")).await.0;
        reader.subscribe("kept", Qos::AtLeastOnce).await;
        for publish in [qos1(1, "kept", b"x"), qos2(1, "kept", b"x")] {
            let mut writer = mesh.client(version, "writer").await;
            let away = Some(StoreError::Unavailable);
            store.manner.refuses.send_replace(away);
            writer.send(publish).await;
            writer.expect_end(word).await;
            store.manner.refuses.send_replace(None);
        }
        reader.expect_nothing().await;
        reader.goodbye().await;
    }
}

//= MQTT-4.3.3-9
#[tokio::test]
async fn an_identifier_is_free_again_when_its_message_was_not_kept() {
    let (mesh, store) = Mesh::held().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.subscribe("kept", Qos::AtLeastOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    let full = Some(StoreError::Full { limit: "room" });
    store.manner.refuses.send_replace(full);
    writer.send(qos2(1, "kept", b"x")).await;
    assert_eq!(writer.code_of(1).await, ReasonCode::QUOTA_EXCEEDED);
    store.manner.refuses.send_replace(None);
    writer.send(qos2(1, "kept", b"y")).await;
    writer.expect(pubrec(1, ReasonCode::SUCCESS)).await;
    assert_eq!(reader.next_publish().await.payload, "y");
}
