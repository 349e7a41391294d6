//! From the protocol header to an open virtual host.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{Principal, Text, Value};
use fairlead_kernel::{Caller, Closed, ClosedReason, ConnInfo, Kernel, Step};

use super::credentials::{AMQPLAIN, PLAIN, as_plain, name_in};
use super::farewell::farewell;
use super::peer::Peer;
use crate::codec::{
    FRAME_MIN_SIZE, LongStr, Method, PROTOCOL_HEADER, Payload, ShortStr, Table, connection,
};
use crate::errors::{Refusal, ReplyCode};
use crate::exchanges::shown;
use crate::transport::{Moved, Output, Reading, Transport};
use crate::{NAME, ORIGIN};

/// From the first byte to an open virtual host; longer waits for nothing but an attacker.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// The largest frame before limits are agreed: client properties of real clients are below 2 KiB.
const FRAME_MAX_BEFORE_TUNE: usize = 8 * 1024;
/// Channels of one connection.
const CHANNEL_MAX: u16 = 2047;
/// The largest frame, in bytes: what RabbitMQ proposes, so that clients tuned to it stay so.
const FRAME_MAX: u32 = 128 * 1024;
/// Seconds between signs of life.
const HEARTBEAT_SECONDS: u16 = 60;
/// The only virtual host.
const VIRTUAL_HOST: &[u8] = b"/";

/// A connection that is open, and its agreed seconds between signs of life.
pub(super) struct Opened {
    /// Boxed: it moves a few times, and each place would be part of the connection's task.
    pub(super) peer: Box<Peer>,
    pub(super) heartbeat_seconds: u16,
}

/// A handshake under way.
struct Handshake<'a> {
    transport: &'a mut Transport,
    info: &'a ConnInfo,
    kernel: &'a Arc<Kernel>,
    out: Output,
}

/// What the client said of itself.
struct Client {
    facts: Table,
    who: Principal,
    login: Bytes,
}

/// Leads a client from its first byte to an open virtual host, or says why not.
pub(super) async fn handshake(
    transport: &mut Transport,
    info: &ConnInfo,
    kernel: &Arc<Kernel>,
) -> Result<Opened, Closed> {
    let out = Output::new(FRAME_MAX_BEFORE_TUNE);
    let handshake = Handshake {
        transport,
        info,
        kernel,
        out,
    };
    match tokio::time::timeout(HANDSHAKE_MAX, handshake.run()).await {
        Ok(opened) => opened,
        Err(_elapsed) => Err(Closed::because(
            ClosedReason::Silent,
            "the handshake took too long",
        )),
    }
}

impl Handshake<'_> {
    async fn run(mut self) -> Result<Opened, Closed> {
        self.protocol_header().await?;
        self.send(start(self.kernel.mechanisms(self.info))).await?;
        let client = self.login().await?;
        let (tune, heartbeat_seconds) = self.tune().await?;
        let caller = self.open(client.who).await?;
        let mut out = self.out;
        out.frame_max = tune.0;
        let peer = Box::new(Peer::new(caller, out, tune.1, &client.facts, client.login));
        Ok(Opened {
            peer,
            heartbeat_seconds,
        })
    }

    async fn protocol_header(&mut self) -> Result<(), Closed> {
        loop {
            match self.transport.protocol_header() {
                Ok(true) => return Ok(()),
                Ok(false) => self.read().await?,
                Err(error) => {
                    // The answer tells the client what we speak; whether it arrives is its affair.
                    self.out.raw(&PROTOCOL_HEADER);
                    self.transport.drain(&mut self.out).await.map_err(lost)?;
                    return Err(Closed::because(ClosedReason::Malformed, error.to_string()));
                }
            }
        }
    }

    async fn login(&mut self) -> Result<Client, Closed> {
        let method = self.method().await?;
        let Method::ConnectionStartOk(said) = method else {
            return Err(self.unexpected(method).await);
        };
        let plain = as_plain(said.mechanism.as_bytes(), &said.response.0);
        let (Some(plain), Ok(mut login)) = (plain, self.kernel.greet(self.info, PLAIN)) else {
            return Err(self
                .denied(&said, "no such login mechanism, or not its message")
                .await);
        };
        match login.step(&plain).await {
            Step::Done(who, _) => Ok(Client {
                facts: said.client_properties,
                who,
                login: name_in(&plain).unwrap_or_default(),
            }),
            Step::Refused(why) => Err(self.denied(&said, why).await),
            // PLAIN is one message.
            Step::Continue(_) => Err(self.denied(&said, "the mechanism asks for more").await),
        }
    }

    /// Agrees on limits: frame and channel limits, and the heartbeat.
    async fn tune(&mut self) -> Result<((usize, u16), u16), Closed> {
        let proposal = connection::Tune {
            channel_max: CHANNEL_MAX,
            frame_max: FRAME_MAX,
            heartbeat: HEARTBEAT_SECONDS,
        };
        self.send(proposal).await?;
        let method = self.method().await?;
        let Method::ConnectionTuneOk(said) = method else {
            return Err(self.unexpected(method).await);
        };
        match agree(&said) {
            Ok((frame_max, channel_max)) => Ok(((frame_max, channel_max), said.heartbeat)),
            Err(refusal) => Err(self.refuse(refusal).await),
        }
    }

    async fn open(&mut self, who: Principal) -> Result<Caller, Closed> {
        let method = self.method().await?;
        let Method::ConnectionOpen(said) = method else {
            return Err(self.unexpected(method).await);
        };
        if said.virtual_host.as_bytes() != VIRTUAL_HOST {
            let text = format!("vhost {} not found", shown(&said.virtual_host));
            return Err(self.refuse(ReplyCode::NotAllowed.because(text)).await);
        }
        match self.kernel.enter(self.info, who, (NAME, ORIGIN)) {
            Ok(caller) => {
                self.send(connection::OpenOk::default()).await?;
                Ok(caller)
            }
            Err(error) => Err(self.refuse(error.into()).await),
        }
    }

    /// The next method on channel 0.
    async fn method(&mut self) -> Result<Method, Closed> {
        loop {
            match self.transport.frame(FRAME_MAX_BEFORE_TUNE) {
                Ok(None) => self.read().await?,
                Ok(Some(frame)) => match frame.payload {
                    Payload::Method(method) if frame.channel == 0 => return Ok(method),
                    Payload::Heartbeat => {}
                    Payload::Method(_) | Payload::Header(_) | Payload::Body(_) => {
                        let text = "only methods on channel 0 before the connection is open";
                        let refusal = ReplyCode::UnexpectedFrame.because(text);
                        return Err(self.refuse(refusal).await);
                    }
                },
                Err(error) => return Err(self.refuse(error.into()).await),
            }
        }
    }

    async fn read(&mut self) -> Result<(), Closed> {
        loop {
            match self.transport.turn(&mut self.out, Reading::Allowed).await {
                Ok(Moved::Read(_)) => return Ok(()),
                Ok(Moved::Written(_)) => {}
                Ok(Moved::Ended) if self.transport.is_between_frames() => {
                    return Err(Closed::plain(ClosedReason::Goodbye));
                }
                Ok(Moved::Ended) => return Err(Closed::plain(ClosedReason::Lost)),
                Err(error) => return Err(lost(error)),
            }
        }
    }

    async fn send(&mut self, method: impl Into<Method>) -> Result<(), Closed> {
        let written = self.out.method(0, method);
        written.map_err(|refusal| Closed::because(ClosedReason::Failed, refusal.to_string()))?;
        self.transport.drain(&mut self.out).await.map_err(lost)
    }

    /// Tells a client that knows the capability why its login failed; the others see the socket close.
    async fn denied(&mut self, said: &connection::StartOk, why: &'static str) -> Closed {
        if let Ok(meters) = self.kernel.meters(NAME, &self.info.listener) {
            meters.logins_refused.inc();
        }
        tracing::warn!(peer = %self.info.peer, mechanism = ?said.mechanism, why, "login refused");
        if has_capability(&said.client_properties, b"authentication_failure_close") {
            let text = format!(
                "Login was refused using authentication mechanism {}. \
                 For details see the broker logfile.",
                shown(&said.mechanism)
            );
            return self.refuse(ReplyCode::AccessRefused.because(text)).await;
        }
        Closed::because(ClosedReason::Refused, why)
    }

    async fn unexpected(&mut self, method: Method) -> Closed {
        if matches!(method, Method::ConnectionClose(_)) {
            return match self.send(connection::CloseOk {}).await {
                Ok(()) => Closed::plain(ClosedReason::Goodbye),
                Err(closed) => closed,
            };
        }
        let text = format!("{} is not expected here", method.name());
        self.refuse(ReplyCode::CommandInvalid.because(text)).await
    }

    async fn refuse(&mut self, refusal: Refusal) -> Closed {
        farewell(self.transport, &mut self.out, &refusal, (0, 0)).await
    }
}

/// Whether a client says that it can do something.
pub(super) fn has_capability(client: &Table, name: &[u8]) -> bool {
    let Some(Value::Map(capabilities)) = client.get(b"capabilities") else {
        return false;
    };
    let said = capabilities.iter().find(|(said, _)| said == name);
    matches!(said, Some((_, Value::Bool(true))))
}

fn lost(error: std::io::Error) -> Closed {
    Closed::because(ClosedReason::Lost, error.to_string())
}

//= connection.tune-ok.limits: what the client says is at most what was proposed; 0 asks for the most.
fn agree(said: &connection::TuneOk) -> Result<(usize, u16), Refusal> {
    let (frame_max, channel_max) = (
        if said.frame_max == 0 {
            FRAME_MAX
        } else {
            said.frame_max
        },
        if said.channel_max == 0 {
            CHANNEL_MAX
        } else {
            said.channel_max
        },
    );
    let frame_bytes = usize::try_from(frame_max).unwrap_or(usize::MAX);
    if frame_max > FRAME_MAX || channel_max > CHANNEL_MAX || frame_bytes < FRAME_MIN_SIZE {
        let text = format!(
            "frame_max {frame_max} is not between {FRAME_MIN_SIZE} and {FRAME_MAX}, \
             or channel_max {channel_max} above {CHANNEL_MAX}"
        );
        return Err(ReplyCode::NotAllowed.because(text));
    }
    Ok((frame_bytes, channel_max))
}

fn start(mechanisms: &[&str]) -> connection::Start {
    let offered = match mechanisms.contains(&PLAIN) {
        true => format!("{PLAIN} {AMQPLAIN}"),
        false => String::new(),
    };
    let text = |text: &'static str| Value::Text(Text::from_static(text));
    let mut capabilities = Table::default();
    for name in [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "consumer_priorities",
        "authentication_failure_close",
        "per_consumer_qos",
        "direct_reply_to",
    ] {
        capabilities.push(name, Value::Bool(true));
    }
    let mut properties = Table::default();
    properties.push("product", text("Fairlead"));
    properties.push("version", text(env!("CARGO_PKG_VERSION")));
    properties.push("platform", text("Rust"));
    properties.push("capabilities", Value::Map(capabilities.0));
    connection::Start {
        version_major: 0,
        version_minor: 9,
        server_properties: properties,
        mechanisms: LongStr(Bytes::from(offered)),
        locales: LongStr(Bytes::from_static(b"en_US")),
    }
}

/// The name that the client logged in with, for `user_id`.
pub(super) fn login_name(login: Bytes) -> ShortStr {
    ShortStr::new(login).unwrap_or_default()
}
