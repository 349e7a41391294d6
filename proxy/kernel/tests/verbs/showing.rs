//! What live readers are shown: what was published together comes together.

use fairlead_kernel::Live;

use crate::*;

async fn listen(caller: &mut Caller, filter: &str) {
    let attach = Attach::new(Source::Live(pattern(filter)), 1);
    caller.attach(attach).await.unwrap();
}

/// Publishes without a flush.
fn stage(caller: &mut Caller, name: &str, body: &str) {
    let address = shared(name);
    let publish = Publish {
        to: To::Address(&address),
        content: Content::Message(message(caller, &address, body)),
        promise: Promise::Nothing,
        with: Vec::new(),
        own_mailbox: None,
    };
    caller.publish(publish).unwrap();
}

async fn live(caller: &mut Caller) -> Vec<Live> {
    match event(caller).await {
        Event::Live(some) => some,
        other => panic!("not live messages: {other:?}"),
    }
}

fn bodies(live: &Live) -> Vec<&[u8]> {
    let messages = live.run.messages().iter();
    messages
        .map(|one| &one.body.as_ref().unwrap()[..])
        .collect()
}

#[tokio::test]
async fn messages_for_the_same_readers_are_one_run_that_they_share() {
    let mesh = Mesh::new().await;
    let (mut one, mut other, mut writer) = (mesh.caller(), mesh.caller(), mesh.caller());
    listen(&mut one, "a/#").await;
    listen(&mut other, "a/#").await;
    for (name, body) in [("a/1", "1"), ("a/1", "2"), ("a/2", "3"), ("a/1", "4")] {
        stage(&mut writer, name, body);
    }
    writer.flush();
    let (first, second) = (live(&mut one).await, live(&mut other).await);
    let wanted: [&[&[u8]]; 3] = [&[b"1", b"2"], &[b"3"], &[b"4"]];
    assert_eq!(first.iter().map(bodies).collect::<Vec<_>>(), wanted);
    let mut pairs = first.iter().zip(&second);
    assert!(pairs.all(|(first, second)| Arc::ptr_eq(&first.run, &second.run)));
    assert_eq!(second.len(), wanted.len());
    assert_eq!(
        one.meters().delivered.get(),
        8,
        "of all callers of a listener"
    );
}

#[tokio::test]
async fn nothing_is_shown_before_the_flush_and_all_of_it_when_the_publisher_goes() {
    let mesh = Mesh::new().await;
    let (mut reader, mut writer) = (mesh.caller(), mesh.caller());
    listen(&mut reader, "a").await;
    stage(&mut writer, "a", "x");
    let nothing = tokio::time::timeout(Duration::ZERO, reader.event()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    drop(writer);
    assert_eq!(bodies(&live(&mut reader).await[0]), [b"x"]);
}

#[tokio::test]
async fn a_run_ends_where_it_is_long() {
    let mesh = Mesh::new().await;
    let (mut reader, mut writer) = (mesh.caller(), mesh.caller());
    listen(&mut reader, "a").await;
    let large = "x".repeat(40_000);
    for _ in 0..65 {
        stage(&mut writer, "a", "");
    }
    for _ in 0..3 {
        stage(&mut writer, "a", &large);
    }
    writer.flush();
    let lengths: Vec<_> = live(&mut reader).await;
    let lengths: Vec<_> = lengths
        .iter()
        .map(|live| live.run.messages().len())
        .collect();
    assert_eq!(lengths, [64, 3, 1]);
}

#[tokio::test]
async fn who_does_not_read_loses_what_does_not_fit_and_nobody_else_does() {
    let mesh = Mesh::new().await;
    let (mut slow, mut quick, mut writer) = (mesh.caller(), mesh.caller(), mesh.caller());
    listen(&mut slow, "a").await;
    listen(&mut quick, "a").await;
    let body = "x".repeat(64 * 1024);
    for _ in 0..130 {
        stage(&mut writer, "a", &body);
        writer.flush();
        assert_eq!(live(&mut quick).await.len(), 1);
    }
    // 8 MiB.
    assert_eq!(live(&mut slow).await.len(), 128);
    assert_eq!(writer.meters().dropped_count(), 2);
    for _ in 0..65_536 + 2 {
        stage(&mut writer, "a", "");
    }
    writer.flush();
    let count = live(&mut slow).await;
    let count: usize = count.iter().map(|live| live.run.messages().len()).sum();
    assert_eq!(count, 65_536);
    // Once for each of the two.
    assert_eq!(writer.meters().dropped_count(), 2 + 4);
}

#[tokio::test]
async fn what_is_made_of_a_run_is_kept_for_its_other_readers() {
    let mesh = Mesh::new().await;
    let (mut one, mut other, mut writer) = (mesh.caller(), mesh.caller(), mesh.caller());
    listen(&mut one, "a").await;
    listen(&mut other, "a").await;
    stage(&mut writer, "a", "x");
    writer.flush();
    let (one, other) = (live(&mut one).await, live(&mut other).await);
    let made = std::ptr::from_ref(one[0].run.form::<u32>().unwrap());
    let found = std::ptr::from_ref(other[0].run.form::<u32>().unwrap());
    assert_eq!(made, found);
    assert_eq!(other[0].run.form::<u64>(), None, "another kind of form");
}
