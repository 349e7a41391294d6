//! Queues as streams: looking them up, and what they were declared as.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use fairlead_canon::{Address, Class, Kind, Overflow, SizeLimits, Text, Value};
use fairlead_kernel::{
    Caller, Change, Destination, Family, Lifetime, NewStream, Stream, StreamKey,
};

use crate::ORIGIN;
use crate::codec::{Method, ShortStr, Table, queue};
use crate::errors::{Refusal, ReplyCode};
use crate::exchanges::{self, shown};
use crate::map::queue_address;

/// Arguments that promise something we do not do; a queue that ignored them would lie.
const UNSUPPORTED: [&str; 7] = [
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-max-priority",
    "x-single-active-consumer",
    "x-delivery-limit",
    "x-initial-cluster-size",
];

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

/// The stream to be made for a declaration by the connection of that number.
pub(crate) fn new_stream(declare: &queue::Declare, owner: u64) -> Result<NewStream, Refusal> {
    let key = key(&declare.queue).ok_or_else(|| {
        ReplyCode::PreconditionFailed.because("the name of a queue is UTF-8 text")
    })?;
    let expires = expires(&declare.arguments)?;
    // An exclusive queue goes with its connection, so there is nothing to keep for a restart.
    let class = match declare.durable && !declare.exclusive {
        true => Class::Local,
        false => Class::Memory,
    };
    let lifetime = match (declare.exclusive, declare.auto_delete, expires) {
        (true, ..) => Lifetime::Connection(owner),
        (_, true, _) => Lifetime::LastConsumer,
        (_, _, Some(after_ms)) => Lifetime::Unused { after_ms },
        (_, _, None) => Lifetime::Forever,
    };
    Ok(NewStream {
        lifetime,
        limits: limits(&declare.arguments)?,
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

/// Refuses arguments that ask for something that we would not do.
pub(crate) fn check_arguments(declare: &queue::Declare) -> Result<(), Refusal> {
    let asked = |name: &&&str| declare.arguments.get(name.as_bytes()).is_some();
    if let Some(name) = UNSUPPORTED.iter().find(asked) {
        let text = format!("argument '{name}' for queue '{}'", shown(&declare.queue));
        return Err(ReplyCode::NotImplemented.because(text));
    }
    match declare.arguments.get(b"x-queue-type") {
        None => Ok(()),
        Some(Value::Text(kind)) if &**kind == "classic" => Ok(()),
        // One durable kind of queue serves both names; it does not exist in memory alone.
        Some(Value::Text(kind)) if &**kind == "quorum" => {
            match declare.durable && !declare.exclusive && !declare.auto_delete {
                true => Ok(()),
                false => {
                    let text = "a queue of type 'quorum' is durable, shared and stays";
                    Err(ReplyCode::PreconditionFailed.because(text))
                }
            }
        }
        Some(Value::Text(kind)) if &**kind == "stream" => {
            Err(ReplyCode::NotImplemented.because("queues of type 'stream'"))
        }
        Some(_) => Err(invalid("x-queue-type")),
    }
}

//= queue.declare.x-max-length: limits of messages and bytes; the oldest give way unless
//= queue.declare.x-max-length: `x-overflow` says that publishes are refused.
fn limits(arguments: &Table) -> Result<SizeLimits, Refusal> {
    let overflow = match arguments.get(b"x-overflow") {
        None => Overflow::DropHead,
        Some(Value::Text(text)) if &**text == "drop-head" => Overflow::DropHead,
        Some(Value::Text(text)) if &**text == "reject-publish" => Overflow::Reject,
        Some(_) => return Err(invalid("x-overflow")),
    };
    let count_max = number(arguments, "x-max-length")?;
    let bytes_max = number(arguments, "x-max-length-bytes")?;
    Ok(match (count_max, bytes_max) {
        (None, None) => SizeLimits::default(),
        (count_max, bytes_max) => SizeLimits {
            count_max,
            bytes_max,
            overflow,
        },
    })
}

//= queue.declare.x-expires: removed when unused for so many milliseconds; more than 0.
fn expires(arguments: &Table) -> Result<Option<u64>, Refusal> {
    match number(arguments, "x-expires")? {
        Some(0) => Err(invalid("x-expires")),
        after_ms => Ok(after_ms),
    }
}

fn number(arguments: &Table, name: &'static str) -> Result<Option<u64>, Refusal> {
    let number = match arguments.get(name.as_bytes()) {
        None => return Ok(None),
        Some(Value::I8(n)) => i64::from(*n),
        Some(Value::U8(n)) => i64::from(*n),
        Some(Value::I16(n)) => i64::from(*n),
        Some(Value::U16(n)) => i64::from(*n),
        Some(Value::I32(n)) => i64::from(*n),
        Some(Value::U32(n)) => i64::from(*n),
        Some(Value::I64(n)) => *n,
        Some(_) => -1,
    };
    let number = u64::try_from(number).ok();
    number.map(Some).ok_or_else(|| invalid(name))
}

fn invalid(name: &str) -> Refusal {
    ReplyCode::PreconditionFailed.because(format!("invalid arg '{name}' for a queue"))
}
