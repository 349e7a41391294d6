//! The arguments of a queue as limits, life and settings of its stream.

use bytes::Bytes;
use fairlead_canon::{Overflow, Retention, SizeLimits, SyncMode, Text};
use fairlead_kernel::{AtFull, DeadLetter, Settings};

use crate::arguments::{QueueArguments, text_bytes};
use crate::codec::{Table, queue};
use crate::errors::{Refusal, ReplyCode};
use crate::exchanges::{realm_name, shown};
use crate::map::queue_address;
use crate::names::path_of;

/// Arguments that two declarations of a queue have to agree on; others are the client's own.
pub(crate) const COMPARED: [&str; 16] = [
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-queue-version",
    "x-single-active-consumer",
    "x-delivery-limit",
    "x-fairlead-sync",
];

/// The longest time that an argument may name, in milliseconds: ten years of 365 days.
const TIME_MS_MAX: u64 = 315_360_000_000;

/// What the arguments of a queue ask for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// How long it may be unused, in milliseconds.
    pub(crate) expires_ms: Option<u64>,
    /// How much it holds.
    pub(crate) limits: SizeLimits,
    /// Everything else.
    pub(crate) settings: Settings,
}

/// The types of queues. Both are our durable queue; they differ in what may be asked of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Classic,
    Quorum,
}

impl Type {
    /// How RabbitMQ names it when it refuses.
    fn module(self) -> &'static str {
        match self {
            Self::Classic => "rabbit_classic_queue",
            Self::Quorum => "rabbit_quorum_queue",
        }
    }

    /// Arguments that it refuses.
    fn foreign(self) -> &'static [&'static str] {
        match self {
            Self::Classic => &[
                "x-delivery-limit",
                "x-dead-letter-strategy",
                "x-max-age",
                "x-max-in-memory-length",
                "x-max-in-memory-bytes",
                "x-initial-cluster-size",
                "x-quorum-initial-group-size",
                "x-queue-leader-locator",
                "x-stream-max-segment-size-bytes",
            ],
            Self::Quorum => &[
                "x-max-priority",
                "x-queue-mode",
                "x-queue-version",
                "x-queue-master-locator",
                "x-max-age",
                "x-initial-cluster-size",
                "x-stream-max-segment-size-bytes",
            ],
        }
    }
}

/// The type that a queue was asked to be; `classic` when nothing was said.
pub(crate) fn type_of(arguments: &Table) -> Bytes {
    let said = arguments.get(b"x-queue-type").and_then(text_bytes);
    said.unwrap_or(Bytes::from_static(b"classic"))
}

/// Reads the arguments of a queue that is to be made, or says what is wrong with them.
pub(crate) fn asked(declare: &queue::Declare) -> Result<Asked, Refusal> {
    let arguments = QueueArguments {
        table: &declare.arguments,
        queue: &declare.queue,
    };
    check_type(declare, &arguments)?;
    let dead_letter = dead_letter(&arguments)?;
    let expires_ms = expires(&arguments)?;
    let retention = Retention {
        age_ms: time(&arguments, "x-message-ttl")?,
        bytes: None,
    };
    let (overflow, takes_refused) = overflow(&arguments)?;
    let limits = limits(&arguments, overflow)?;
    check_without_effect(&arguments)?;
    let settings = Settings {
        sync: sync(&arguments)?,
        retention,
        priority_max: priority_max(&arguments)?,
        dead_letter: strategy(&arguments, overflow, dead_letter)?.map(|dead_letter| DeadLetter {
            takes_refused,
            ..dead_letter
        }),
        returns_max: returns_max(&arguments)?,
        is_single_active: arguments.switch("x-single-active-consumer")?,
        ..Settings::default()
    };
    Ok(Asked {
        expires_ms,
        limits,
        settings,
    })
}

//= queue.declare.x-queue-type: classic and quorum are our durable queue, each with the arguments that
//= queue.declare.x-queue-type: it has in RabbitMQ.
fn check_type(declare: &queue::Declare, arguments: &QueueArguments<'_>) -> Result<(), Refusal> {
    const NAME: &str = "x-queue-type";
    let queue_type = match arguments.text(NAME)?.as_deref() {
        None | Some(b"classic") => Type::Classic,
        Some(b"quorum") => Type::Quorum,
        Some(b"stream") => {
            return Err(ReplyCode::NotImplemented.because("queues of type 'stream'"));
        }
        Some(other) => {
            let why = format!("\"unsupported queue type '{}'\"", other.escape_ascii());
            return Err(arguments.invalid(NAME, why));
        }
    };
    let foreign = queue_type.foreign().iter();
    if let Some(name) = foreign.into_iter().find(|name| arguments.has(name)) {
        return Err(arguments.foreign(name, queue_type.module()));
    }
    let properties = [
        ("non-durable", !declare.durable),
        ("auto-delete", declare.auto_delete),
        ("exclusive-owner", declare.exclusive),
    ];
    match properties.into_iter().find(|(_, is_said)| *is_said) {
        Some((property, _)) if queue_type == Type::Quorum => {
            let name = shown(&declare.queue);
            let text = format!("invalid property '{property}' for queue '{name}' in vhost '/'");
            Err(ReplyCode::PreconditionFailed.because(text))
        }
        Some(_) | None => Ok(()),
    }
}

//= queue.declare.x-dead-letter-exchange: where messages go that are rejected, expire, are pushed out or
//= queue.declare.x-dead-letter-exchange: come back too often; looked up when they do.
fn dead_letter(arguments: &QueueArguments<'_>) -> Result<Option<DeadLetter>, Refusal> {
    const NAME: &str = "x-dead-letter-exchange";
    const KEY: &str = "x-dead-letter-routing-key";
    let key = arguments.text(KEY)?;
    let exchange = match arguments.table.get(NAME.as_bytes()) {
        None if key.is_some() => {
            return Err(arguments.invalid(KEY, "routing_key_but_no_dlx_defined"));
        }
        None => return Ok(None),
        Some(value) => text_bytes(value).ok_or_else(|| arguments.mistyped(NAME, value))?,
    };
    let path = key.map(|key| match exchange.is_empty() {
        true => queue_address(&key).map(|address| address.path),
        false => path_of(&key),
    });
    let path = path.transpose();
    let path = path.map_err(|error| arguments.invalid(KEY, error))?;
    let exchange = Text::try_from(exchange)
        .map_err(|_not_utf8| arguments.invalid(NAME, "the name of an exchange is UTF-8 text"))?;
    Ok(Some(DeadLetter {
        realm: realm_name(exchange),
        path,
        takes_refused: false,
        at_full: AtFull::Drop,
    }))
}

//= queue.declare.x-dead-letter-strategy: at-least-once waits until a full queue has room, where the queue
//= queue.declare.x-dead-letter-strategy: itself refuses publishes when it is full; at-most-once drops.
fn strategy(
    arguments: &QueueArguments<'_>,
    overflow: Overflow,
    dead_letter: Option<DeadLetter>,
) -> Result<Option<DeadLetter>, Refusal> {
    const NAME: &str = "x-dead-letter-strategy";
    let at_full = match arguments.text(NAME)?.as_deref() {
        None | Some(b"at-most-once") => AtFull::Drop,
        // Otherwise messages would be pushed out for ever by messages that wait for their way out.
        Some(b"at-least-once") if overflow == Overflow::Reject => AtFull::Wait,
        Some(b"at-least-once") => AtFull::Drop,
        Some(_) => return Err(arguments.invalid(NAME, "invalid_dlx_strategy")),
    };
    Ok(dead_letter.map(|dead_letter| DeadLetter {
        at_full,
        ..dead_letter
    }))
}

//= queue.declare.x-max-length: limits of messages and bytes. At the limit the oldest give way, or
//= queue.declare.x-max-length: publishes are refused, and then also go where dead messages go.
fn limits(arguments: &QueueArguments<'_>, overflow: Overflow) -> Result<SizeLimits, Refusal> {
    let count_max = arguments.number("x-max-length")?;
    let bytes_max = arguments.number("x-max-length-bytes")?;
    Ok(match (count_max, bytes_max) {
        // The node's own limits push nothing out.
        (None, None) => SizeLimits::default(),
        (count_max, bytes_max) => SizeLimits {
            count_max,
            bytes_max,
            overflow,
        },
    })
}

/// What happens at the limit, and whether what is refused there goes where dead messages go.
fn overflow(arguments: &QueueArguments<'_>) -> Result<(Overflow, bool), Refusal> {
    const NAME: &str = "x-overflow";
    match arguments.text(NAME)?.as_deref() {
        None | Some(b"drop-head") => Ok((Overflow::DropHead, false)),
        Some(b"reject-publish") => Ok((Overflow::Reject, false)),
        Some(b"reject-publish-dlx") => Ok((Overflow::Reject, true)),
        Some(_) => Err(arguments.invalid(NAME, "invalid_overflow")),
    }
}

//= queue.declare.x-expires: removed when unused for so many milliseconds; more than 0.
fn expires(arguments: &QueueArguments<'_>) -> Result<Option<u64>, Refusal> {
    const NAME: &str = "x-expires";
    match time(arguments, NAME)? {
        Some(0) => Err(arguments.invalid(NAME, "{value_zero,0}")),
        after_ms => Ok(after_ms),
    }
}

//= queue.declare.x-message-ttl: how many milliseconds a message may stay in the queue.
fn time(arguments: &QueueArguments<'_>, name: &str) -> Result<Option<u64>, Refusal> {
    match arguments.number(name)? {
        Some(ms) if ms > TIME_MS_MAX => {
            Err(arguments.invalid(name, format!("{{value_too_large,{ms}}}")))
        }
        ms => Ok(ms),
    }
}

//= queue.declare.x-fairlead-sync: with interval, messages are confirmed once they are written; the sync
//= queue.declare.x-fairlead-sync: follows soon. Otherwise, or with always, they are synced first.
fn sync(arguments: &QueueArguments<'_>) -> Result<SyncMode, Refusal> {
    const NAME: &str = "x-fairlead-sync";
    match arguments.text(NAME)?.as_deref() {
        None | Some(b"always") => Ok(SyncMode::Always),
        Some(b"interval") => Ok(SyncMode::Interval),
        Some(other) => {
            let why = format!("\"unsupported sync mode '{}'\"", other.escape_ascii());
            Err(arguments.invalid(NAME, why))
        }
    }
}

//= queue.declare.x-max-priority: messages with a higher priority come first; those above the highest
//= queue.declare.x-max-priority: count as the highest, those without one as 0.
fn priority_max(arguments: &QueueArguments<'_>) -> Result<u8, Refusal> {
    const NAME: &str = "x-max-priority";
    let highest = arguments.number(NAME)?.unwrap_or(0);
    u8::try_from(highest)
        .map_err(|_above_255| arguments.invalid(NAME, format!("{{max_value_exceeded,{highest}}}")))
}

//= queue.declare.x-delivery-limit: a message that is returned more often dies.
fn returns_max(arguments: &QueueArguments<'_>) -> Result<Option<u16>, Refusal> {
    let limit = arguments.number("x-delivery-limit")?;
    // More often than anything is returned in practice, and all that is counted.
    Ok(limit.map(|limit| u16::try_from(limit).unwrap_or(u16::MAX)))
}

//= queue.declare.without-effect: arguments that choose how or where RabbitMQ keeps a queue are checked
//= queue.declare.without-effect: and change nothing here.
fn check_without_effect(arguments: &QueueArguments<'_>) -> Result<(), Refusal> {
    const MODE: &str = "x-queue-mode";
    const VERSION: &str = "x-queue-version";
    const LOCATOR: &str = "x-queue-leader-locator";
    match arguments.text(MODE)?.as_deref() {
        None | Some(b"default" | b"lazy") => {}
        Some(other) => {
            let why = format!("\"unsupported queue mode '{}'\"", other.escape_ascii());
            return Err(arguments.invalid(MODE, why));
        }
    }
    match arguments.number(VERSION)? {
        None | Some(1 | 2) => {}
        Some(other) => {
            let why = format!("\"unsupported queue version '{other}'\"");
            return Err(arguments.invalid(VERSION, why));
        }
    }
    match arguments.text(LOCATOR)?.as_deref() {
        None | Some(b"client-local" | b"balanced" | b"random" | b"least-leaders") => {}
        Some(_) => return Err(arguments.invalid(LOCATOR, "invalid_queue_locator_arg")),
    }
    for name in ["x-max-in-memory-length", "x-max-in-memory-bytes"] {
        arguments.number(name)?;
    }
    Ok(())
}
