//! Queues as streams: looking them up, and what they were declared as.

mod settings;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use fairlead_canon::{Address, Class, Kind, Text};
use fairlead_kernel::{
    Caller, Change, Destination, Family, Lifetime, NewStream, Stream, StreamKey,
};

use crate::ORIGIN;
use crate::codec::{Method, ShortStr, queue};
use crate::errors::{Refusal, ReplyCode};
use crate::exchanges::{self, shown};
use crate::map::queue_address;

pub(crate) use settings::{COMPARED, type_of};

/// The stream of a queue name; `None` when it cannot be one.
pub(crate) fn key(name: &ShortStr) -> Option<StreamKey> {
    let name = Text::try_from(name.as_bytes().clone()).ok()?;
    Some(StreamKey::new(Family::Queue, name))
}

/// The queue of that name, whoever owns it.
pub(crate) fn find(caller: &Caller, name: &ShortStr) -> Option<Arc<Stream>> {
    let key = key(name)?;
    caller.topology(|topology| topology.stream(&key).cloned())
}

/// The queue of that name, if this connection may use it, or the refusal that clients know.
pub(crate) fn require(caller: &Caller, name: &ShortStr) -> Result<Arc<Stream>, Refusal> {
    let queue = find(caller, name).ok_or_else(|| {
        ReplyCode::NotFound.because(format!("no queue '{}' in vhost '/'", shown(name)))
    })?;
    match queue.owner() {
        Some(owner) if owner != caller.id() => Err(locked(name)),
        Some(_) | None => Ok(queue),
    }
}

/// The refusal for a queue that belongs to another connection, or is not as exclusive as asked.
pub(crate) fn locked(name: &ShortStr) -> Refusal {
    ReplyCode::ResourceLocked.because(format!(
        "cannot obtain exclusive access to locked queue '{}' in vhost '/'. It could be originally \
         declared on another connection or the exclusive property value does not match that of the \
         original declaration.",
        shown(name)
    ))
}

/// What a queue was declared as; for a queue of another protocol, what it would have been.
pub(crate) fn declaration(queue: &Stream) -> queue::Declare {
    let own = (queue.origin == ORIGIN).then(|| Method::decode(&queue.document));
    match own {
        Some(Ok(Method::QueueDeclare(declare))) => declare,
        _ => queue::Declare {
            queue: ShortStr::cut(&queue.key.name),
            durable: queue.is_durable(),
            exclusive: queue.owner().is_some(),
            auto_delete: queue.lifetime == Lifetime::LastConsumer,
            ..queue::Declare::default()
        },
    }
}

/// Whether readers of a queue are told how often a message was returned.
pub(crate) fn counts_returns(queue: &Stream) -> bool {
    &type_of(&declaration(queue).arguments)[..] == b"quorum"
}

/// The stream to be made for a declaration by this connection.
pub(crate) fn new_stream(declare: &queue::Declare, caller: &Caller) -> Result<NewStream, Refusal> {
    let asked = settings::asked(declare)?;
    let key = key(&declare.queue).ok_or_else(|| {
        ReplyCode::PreconditionFailed.because("the name of a queue is UTF-8 text")
    })?;
    // An exclusive queue goes with its connection, so there is nothing to keep for a restart.
    let class = match declare.durable && !declare.exclusive {
        true => Class::Local,
        false => Class::Memory,
    };
    let lifetime = match (declare.exclusive, declare.auto_delete, asked.expires_ms) {
        (true, ..) => Lifetime::Connection(caller.id()),
        (_, true, _) => Lifetime::LastConsumer,
        (_, _, Some(after_ms)) => Lifetime::Unused { after_ms },
        (_, _, None) => Lifetime::Forever,
    };
    Ok(NewStream {
        lifetime,
        limits: asked.limits,
        settings: asked.settings,
        document: document(declare)?,
        at: Some(address(&declare.queue)?),
        ..NewStream::new(key, Kind::Queue, class, ORIGIN)
    })
}

/// Removes a queue that goes with its last consumer, when an exclusive one has lost it: the kernel
/// keeps those for as long as their connection.
pub(crate) async fn remove_if_left(caller: &mut Caller, key: &StreamKey) -> Result<(), Refusal> {
    let Some(queue) = caller.topology(|topology| topology.stream(key).cloned()) else {
        return Ok(());
    };
    let goes_with_consumer = queue.owner().is_some() && declaration(&queue).auto_delete;
    if goes_with_consumer && caller.depth(key).await?.consumers == 0 {
        remove(caller, key).await?;
    }
    Ok(())
}

/// Removes a queue, and the exchanges that go with their last binding when this was it.
pub(crate) async fn remove(caller: &mut Caller, key: &StreamKey) -> Result<(), Refusal> {
    let to = Destination::Stream(key.clone());
    let sources: Vec<_> = caller.topology(|topology| {
        let bindings = topology.bindings_to(&to);
        bindings.map(|binding| binding.from).collect()
    });
    caller
        .declare(vec![Change::RemoveStream(key.clone())])
        .await?;
    for source in sources {
        exchanges::remove_if_left(caller, source).await?;
    }
    Ok(())
}

fn address(name: &ShortStr) -> Result<Address, Refusal> {
    queue_address(name.as_bytes())
        .map_err(|error| ReplyCode::PreconditionFailed.because(error.to_string()))
}

fn document(declare: &queue::Declare) -> Result<Bytes, Refusal> {
    let said = queue::Declare {
        passive: false,
        no_wait: false,
        ..declare.clone()
    };
    let mut document = BytesMut::new();
    let written = Method::from(said).encode(&mut fairlead_wire::Writer::new(&mut document));
    written.map_err(|error| ReplyCode::InternalError.because(error.to_string()))?;
    Ok(document.freeze())
}
