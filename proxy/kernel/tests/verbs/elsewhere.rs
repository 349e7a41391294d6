//! What a transaction published to a log, where others read it by address.

use fairlead_canon::codec::envelope;
use fairlead_canon::{Batch, BatchFlags, EntityId, Overflow, SizeLimits, Stamp, Text};
use fairlead_kernel::{Decision, Hold, Holder, Reason, Settling, Stream, TxnError};

use crate::*;

/// A producer with an open transaction in the log `t`, and who reads `t` elsewhere.
struct Transaction {
    store: Arc<Memory>,
    caller: Caller,
    holder: Holder,
    sequence: i32,
}

impl Transaction {
    async fn over(queue: NewStream) -> Self {
        let store = Arc::new(Memory::new(1 << 30));
        let clock = Arc::new(ManualClock::at(1_000_000));
        let mut caller = enter(&kernel(Arc::clone(&store), clock).await.unwrap());
        let log = NewStream {
            at: Some(shared("t")),
            ..NewStream::new(log_key("t"), Kind::Log, Class::Local, ORIGIN)
        };
        let bound = NewStream {
            at: Some(shared("t")),
            ..queue
        };
        let changes = [log, bound].map(Change::CreateStream);
        caller.declare(changes.into()).await.unwrap();
        let hold = Hold {
            timeout_ms: 60_000,
            known: None,
        };
        let holder = caller.hold_name(&Text::from_static("x"), hold).await;
        let mut begun = Self {
            store,
            holder: holder.unwrap(),
            caller,
            sequence: 0,
        };
        begun.begin().await;
        begun
    }

    fn lane(&self) -> EntityId {
        let kernel = self.caller.kernel();
        kernel.topology(|t| t.stream(&log_key("t")).unwrap().lanes[0])
    }

    async fn begin(&mut self) {
        let lanes = vec![self.lane()];
        self.caller.add_lanes(&self.holder, lanes).await.unwrap();
    }

    /// Writes one message to the log, in the transaction.
    async fn write(&mut self, message: Message) {
        let stamp = Stamp {
            producer: self.holder.producer,
            epoch: self.holder.epoch,
            first: self.sequence,
            last: self.sequence,
        };
        self.sequence += 1;
        let batch = Batch {
            stamp: Some(stamp),
            flags: BatchFlags {
                transactional: true,
                control: false,
            },
            ..envelope::seal(&message)
        };
        let publish = Publish {
            to: To::Lane {
                stream: &log_key("t"),
                lane: 0,
                address: Some(&shared("t")),
            },
            content: Content::Batch(batch),
            promise: Promise::Durable,
            with: Vec::new(),
            own_mailbox: None,
        };
        let pending = self.caller.publish(publish).unwrap();
        self.caller.flush();
        receipt(&mut self.caller, pending).await;
    }

    async fn write_body(&mut self, body: &str) {
        let message = message(&self.caller, &shared("t"), body);
        self.write(message).await;
    }

    async fn end(&mut self, decision: Decision) -> Result<(), TxnError> {
        let address_of = |stream: &Stream| (stream.key == log_key("t")).then(|| shared("t"));
        let Self { caller, holder, .. } = self;
        caller.conclude(holder, decision, address_of).await
    }

    async fn taken(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        let key = queue_key("q");
        while let Some(taken) = self.caller.take(&key, Settling::OnDelivery).await.unwrap() {
            all.extend(bodies(&[taken.delivery]));
        }
        all
    }

    /// Messages in the log itself, markers left out.
    async fn in_log(&self) -> usize {
        let log = self.store.open(self.lane()).unwrap();
        let chunk = log.read(Offset(0), Want::bytes(1 << 20)).await.unwrap();
        let batches = chunk.batches.iter();
        batches.filter(|it| !it.batch.flags.control).count()
    }
}

#[tokio::test]
async fn whoever_else_reads_gets_each_message_once_at_the_commit() {
    let mut open = Transaction::over(queue("q")).await;
    open.write_body("a").await;
    open.write_body("b").await;
    assert_eq!(open.taken().await, [""; 0], "not yet");
    open.end(Decision::Commit).await.unwrap();
    open.end(Decision::Commit).await.unwrap();
    assert_eq!(open.taken().await, ["a", "b"]);
    assert_eq!(open.in_log().await, 2, "nothing came back to its own log");
    open.begin().await;
    open.write_body("never").await;
    open.end(Decision::Abort).await.unwrap();
    assert_eq!(open.taken().await, [""; 0]);
}

#[tokio::test]
async fn a_compacted_log_gets_what_has_a_key_and_the_rest_is_counted() {
    let mut open = Transaction::over(queue("q")).await;
    declare_compacted(&mut open.caller, "state").await;
    let binding = fairlead_kernel::Binding {
        from: RealmId::SHARED,
        on: fairlead_kernel::Match::Pattern(pattern("t")),
        to: fairlead_kernel::Destination::Stream(log_key("state")),
        no_local: false,
        document: Bytes::new(),
    };
    let bound = open.caller.declare(vec![Change::Bind(binding)]).await;
    bound.unwrap();
    let keyless = message(&open.caller, &shared("t"), "x");
    open.write(with_key(keyless.clone(), "k")).await;
    open.write(keyless).await;
    open.end(Decision::Commit).await.unwrap();
    let keys = keys_in(&open.store, &open.caller, "state").await;
    assert_eq!(keys, [told_of("k")]);
    assert_eq!(open.caller.meters().dropped_count(), 1);
}

#[tokio::test]
async fn a_full_queue_refuses_the_whole_commit_and_has_its_room_back() {
    let limits = SizeLimits {
        count_max: Some(2),
        bytes_max: None,
        overflow: Overflow::Reject,
    };
    let narrow = NewStream {
        limits,
        ..queue("q")
    };
    let mut open = Transaction::over(narrow).await;
    for body in ["a", "b", "c"] {
        open.write_body(body).await;
    }
    let refused = open.end(Decision::Commit).await;
    match refused {
        Err(TxnError::Failed(error)) => assert_eq!(error.reason, Reason::Full),
        other => panic!("{other:?}"),
    }
    assert_eq!(open.taken().await, [""; 0]);
    open.end(Decision::Abort).await.unwrap();
    open.begin().await;
    open.write_body("d").await;
    open.write_body("e").await;
    open.end(Decision::Commit).await.unwrap();
    assert_eq!(open.taken().await, ["d", "e"]);
}
