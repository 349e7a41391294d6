//! From the first byte to CONNACK.

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

use fairlead_canon::{Principal, Text, Timestamp};
use fairlead_kernel::{Caller, Closed, ClosedReason, DrainWatch, Error, Io};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::answers::Answers;
use super::client::{Client, Expiry};
use super::link::Link;
use super::login::{self, Method, Proven};
use super::received::Received;
use super::subscriptions::Subscriptions;
use super::topics::Topics;
use super::window::Window;
use super::{Place, Session};
use crate::NAME;
use crate::census::Presence;
use crate::codec::{ConnAck, Connect, Packet, Properties, Property, ReasonCode, Version, Will};
use crate::errors::{Fault, connack_code};
use crate::map::{self, Emitter, Inbound, ORIGIN};
use crate::rewrite::Use;
use crate::settings::Settings;

/// How long a client may take to say CONNECT, and how long we may take to check who it is.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// The largest CONNECT. A will and a password of 64 KiB each are legal; what is beyond is not
/// believed of a stranger.
const CONNECT_BYTES_MAX: usize = 192 * 1024;

/// The longest client identifier, in bytes; it becomes part of keys.
const CLIENT_ID_BYTES_MAX: usize = 512;

/// Serves the handshake. What comes back is a session, or how the connection ended.
pub(super) async fn greet<I: Io>(
    io: I,
    place: Place,
    mut drain: DrainWatch,
) -> Result<Box<Session<I>>, Closed> {
    let mut link = Link::new(io, CONNECT_BYTES_MAX);
    let connect = tokio::select! {
        connect = tokio::time::timeout(HANDSHAKE_MAX, first(&mut link)) => {
            connect.unwrap_or_else(|_elapsed| Err(silent()))
        }
        () = drain.begun() => Err(Fault::new(ReasonCode::SUCCESS, ClosedReason::Drained, "")),
    };
    let connect = match connect {
        Ok(connect) => connect,
        Err(fault) if fault.code == ReasonCode::UNSUPPORTED_VERSION => {
            return Err(refuse(link, fault, None).await);
        }
        Err(fault) => {
            // Nothing is known of who does not say CONNECT, so nothing is said.
            link.close().await;
            return Err(fault.closed);
        }
    };
    link.version = connect.version;
    place.census.asked();
    if let Some(to) = &place.settings.moved_to {
        return Err(refuse(link, moved(to.clone()), Some(&connect)).await);
    }
    let enter = enter(&mut link, &connect, &place);
    let entered = tokio::time::timeout(HANDSHAKE_MAX, enter).await;
    let (caller, words) = match entered.unwrap_or_else(|_elapsed| Err(late())) {
        Ok(entered) => entered,
        Err(fault) => return Err(refuse(link, fault, Some(&connect)).await),
    };
    link.size_max = place.settings.packet_bytes_max;
    // Boxed, because the task would hold it twice: as a result and as a value.
    let mut session = Box::new(Session::new(link, caller, &connect, &place));
    match session.open(&connect, words).await {
        Ok(()) => {
            session.heard_at = Instant::now();
            Ok(session)
        }
        Err(fault) => Err(refuse(session.link, fault, Some(&connect)).await),
    }
}

/// The first packet, which must be CONNECT.
async fn first<I: Io>(link: &mut Link<I>) -> Result<Box<Connect>, Fault> {
    match link.next_packet().await {
        Ok(Some(Packet::Connect(connect))) => Ok(connect),
        //= MQTT-3.1.0-1: the first packet is CONNECT.
        Ok(Some(_)) => Err(Fault::protocol("the first packet is not CONNECT")),
        Ok(None) if link.is_torn() => Err(Fault::new(
            ReasonCode::SUCCESS,
            ClosedReason::Lost,
            "in the middle of CONNECT",
        )),
        Ok(None) => Err(Fault::new(ReasonCode::SUCCESS, ClosedReason::Goodbye, "")),
        Err(fault) => Err(fault),
    }
}

fn silent() -> Fault {
    Fault::new(
        ReasonCode::SUCCESS,
        ClosedReason::Silent,
        "no CONNECT within ten seconds",
    )
}

fn late() -> Fault {
    let detail = "the login took longer than ten seconds";
    Fault::new(ReasonCode::SERVER_BUSY, ClosedReason::Failed, detail)
}

/// The listener's clients have a server elsewhere.
fn moved(to: Text) -> Fault {
    let fault = Fault::new(ReasonCode::SERVER_MOVED, ClosedReason::Refused, "moved");
    Fault {
        server_reference: Some(to),
        ..fault
    }
}

/// Answers CONNECT with a refusal and closes.
async fn refuse<I: Io>(mut link: Link<I>, fault: Fault, connect: Option<&Connect>) -> Closed {
    if fault.closed.reason == ClosedReason::Lost {
        // Nobody is left to be told.
        return fault.closed;
    }
    let size_max = connect.map_or(usize::MAX, |connect| Asked::of(connect).size_max);
    let code = connack_code(link.version, fault.code);
    //= MQTT-3.2.2-6: a refusal comes without a session.
    let answer = ConnAck {
        session_present: false,
        code,
        properties: fault.words(link.version, size_max),
    };
    let fits = answer.size(link.version) <= size_max;
    if fits && link.send(&Packet::ConnAck(answer)).is_ok() {
        link.close_while_it_writes().await;
    }
    fault.closed
}

/// Proves who the client is and lets it in.
async fn enter<I: Io>(
    link: &mut Link<I>,
    connect: &Connect,
    place: &Place,
) -> Result<(Caller, Vec<Property>), Fault> {
    let Place { info, kernel, .. } = place;
    let meters = kernel.meters(NAME, &info.listener)?;
    match login::prove(link, connect, info, kernel).await {
        Ok(Proven { who, words }) => {
            let who = Principal {
                // A copy: a slice would keep the whole read buffer in memory.
                client: Text::from(connect.client_id.to_string()),
                ..who
            };
            Ok((kernel.enter(info, who, (NAME, ORIGIN))?, words))
        }
        Err(fault) => {
            meters.logins_refused.inc();
            Err(fault)
        }
    }
}

/// What CONNECT asks for, with the defaults of its version.
struct Asked {
    expiry: Expiry,
    receive_max: u16,
    size_max: usize,
    alias_max: u16,
    wants_words: bool,
}

impl Asked {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "most properties ask for nothing"
    )]
    fn of(connect: &Connect) -> Self {
        let expiry = match connect.version {
            Version::V31 | Version::V311 if !connect.clean_start => Expiry::NEVER,
            Version::V31 | Version::V311 | Version::V5 => Expiry::NONE,
        };
        let mut asked = Self {
            expiry,
            receive_max: u16::MAX,
            size_max: usize::MAX,
            alias_max: 0,
            wants_words: connect.version == Version::V5,
        };
        for property in connect.properties.iter() {
            match property {
                Property::SessionExpiry(seconds) => asked.expiry = Expiry(seconds),
                Property::ReceiveMaximum(max) => asked.receive_max = max.get(),
                Property::MaximumPacketSize(max) => {
                    asked.size_max = usize::try_from(max.get()).unwrap_or(usize::MAX);
                }
                Property::TopicAliasMaximum(max) => asked.alias_max = max,
                //= MQTT-3.1.2-29: who wants no words gets none.
                Property::RequestProblemInfo(wants) => asked.wants_words = wants,
                // The others ask for no terms of the session.
                _ => {}
            }
        }
        asked
    }
}

impl<I: Io> Session<I> {
    /// A session of which nothing is known yet but what CONNECT says.
    fn new(link: Link<I>, caller: Caller, connect: &Connect, place: &Place) -> Self {
        let settings = Arc::clone(&place.settings);
        let mut asked = Asked::of(connect);
        if let Some(max) = settings.session_expiry_max {
            asked.expiry = asked.expiry.min(Expiry(max));
        }
        let id = match connect.client_id.is_empty() {
            true => random_id(&caller),
            false => caller.who().client.clone(),
        };
        let mailbox = match asked.expiry.is_some() {
            true => Client::mailbox_of(id.clone()),
            // A name of its own: the mailbox of an earlier connection may still be on its way out.
            false => {
                let name = format!("{id}\0 connection {}", caller.id());
                Client::mailbox_of(name.into())
            }
        };
        //= MQTT-3.1.2-22: one and a half times the keep alive.
        let silence = Duration::from_secs(keep_alive(connect, &settings).into()) * 3 / 2;
        let client = Client {
            id,
            mailbox,
            expiry: asked.expiry,
            silence_max: (!silence.is_zero()).then_some(silence),
            size_max: asked.size_max,
            wants_words: asked.wants_words,
        };
        Self {
            link,
            granted_at: caller.edition(),
            caller,
            client,
            subscriptions: Subscriptions::default(),
            mailbox: None,
            topics: Topics::default(),
            answers: Answers::default(),
            received: Received::default(),
            window: Window::new(asked.receive_max.min(settings.receive_maximum)),
            settled: SmallVec::new(),
            emitter: Emitter::with_aliases(asked.alias_max),
            will: connect.will.clone().map(Box::new),
            settings,
            presence: Presence::of(Arc::clone(&place.census)),
            paced: None,
            status_due: None,
            method: Method::of(connect, &place.info),
            heard_at: Instant::now(),
            is_stirred: true,
            is_told_of_grants: false,
        }
    }

    /// Checks what CONNECT says, restores or makes the session, and answers.
    async fn open(&mut self, connect: &Connect, words: Vec<Property>) -> Result<(), Fault> {
        check_client_id(connect)?;
        self.check_coming(connect)?;
        check_keep_alive(connect, &self.settings)?;
        if let Some(mut will) = self.will.take() {
            will.topic = self
                .rewritten(Use::Publish, &will.topic)
                .ok_or_else(no_topic)?;
            check_will(&will)?;
            self.will = Some(will);
        }
        self.caller.set_publisher(self.client.id.clone());
        let session_present = self.restore(connect.clean_start).await?;
        let properties = match connect.version {
            Version::V31 | Version::V311 => Properties::NONE,
            Version::V5 => self.terms(connect, words)?,
        };
        let answer = ConnAck {
            session_present,
            code: ReasonCode::SUCCESS,
            properties,
        };
        //= MQTT-3.1.2-24: what is larger than the client accepts is not sent.
        if answer.size(connect.version) > self.client.size_max {
            let detail = "the client accepts no packet that tells it our terms";
            let code = ReasonCode::PACKET_TOO_LARGE;
            return Err(Fault::new(code, ClosedReason::Refused, detail));
        }
        self.link.send(&Packet::ConnAck(answer))?;
        self.resume()
    }

    /// Keeps out a client that connects again and again. One without a name is another each time.
    fn check_coming(&self, connect: &Connect) -> Result<(), Fault> {
        match self.settings.connects {
            Some(max) if !connect.client_id.is_empty() => {
                let may_come = self.caller.may_come(&self.client.id, max);
                let why = "it connects too often";
                let banned = || Fault::new(ReasonCode::BANNED, ClosedReason::Refused, why);
                may_come.then_some(()).ok_or_else(banned)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What CONNACK says of the server.
    fn terms(&self, connect: &Connect, words: Vec<Property>) -> Result<Properties, Fault> {
        let settings = &self.settings;
        let size_max = u32::try_from(settings.packet_bytes_max).ok();
        let assigned = Some(self.client.id.clone()).filter(|_| connect.client_id.is_empty());
        let keep_alive = Some(keep_alive(connect, settings));
        let expiry = Some(self.client.expiry.0);
        let asked = connect.properties.session_expiry().unwrap_or_default();
        let list = [
            NonZeroU16::new(settings.receive_maximum).map(Property::ReceiveMaximum),
            size_max
                .and_then(NonZeroU32::new)
                .map(Property::MaximumPacketSize),
            //= MQTT-3.2.2-16: an identifier that the server chose is told.
            assigned.map(Property::AssignedClientId),
            Some(Property::TopicAliasMaximum(Topics::ALIAS_MAX)),
            // and so is a keep alive,
            keep_alive
                .filter(|max| *max != connect.keep_alive)
                .map(Property::ServerKeepAlive),
            // and the end of a session that is not the one asked for.
            expiry
                .filter(|expiry| *expiry != asked)
                .map(Property::SessionExpiry),
            self.response_topic(connect).map(Property::ResponseInfo),
        ];
        let too_long = |error: fairlead_wire::WireError| {
            Error::us(fairlead_kernel::Reason::TooLarge, error.to_string())
        };
        Ok(Properties::of(list.into_iter().flatten().chain(words)).map_err(too_long)?)
    }

    /// Where the client may expect answers, if it asks.
    fn response_topic(&self, connect: &Connect) -> Option<Text> {
        let mut properties = connect.properties.iter();
        //= MQTT-3.1.2-28: who does not ask is not told.
        let asks = properties.any(|one| one == Property::RequestResponseInfo(true));
        let root = self.settings.response_topics.as_deref().filter(|_| asks)?;
        Some(Text::from(format!("{root}/{}", self.client.id)))
    }
}

/// The keep alive that holds: the client's own, or the longest that the listener allows.
fn keep_alive(connect: &Connect, settings: &Settings) -> u16 {
    match (settings.keep_alive_max, connect.version) {
        (Some(max), Version::V5) if !(1..=max).contains(&connect.keep_alive) => max,
        (Some(_) | None, _) => connect.keep_alive,
    }
}

/// Before MQTT 5 there is no word for another keep alive than the one that was asked for.
fn check_keep_alive(connect: &Connect, settings: &Settings) -> Result<(), Fault> {
    match settings.keep_alive_max {
        Some(max) if connect.version != Version::V5 && !(1..=max).contains(&connect.keep_alive) => {
            let detail = "a keep alive above the limit";
            let code = ReasonCode::CLIENT_ID_NOT_VALID;
            Err(Fault::new(code, ClosedReason::Refused, detail))
        }
        Some(_) | None => Ok(()),
    }
}

fn check_client_id(connect: &Connect) -> Result<(), Fault> {
    let id = &connect.client_id;
    //= MQTT-3.1.3-8: an identifier that is refused is told so. 3.1.1 lets the server choose one
    // only for a clean session, and 3.1 never.
    let may_be_missing = match connect.version {
        Version::V31 => false,
        Version::V311 => connect.clean_start,
        Version::V5 => true,
    };
    let is_missing = id.is_empty() && !may_be_missing;
    if is_missing || id.len() > CLIENT_ID_BYTES_MAX {
        let detail = "a client identifier that is missing or too long";
        let code = ReasonCode::CLIENT_ID_NOT_VALID;
        return Err(Fault::new(code, ClosedReason::Malformed, detail));
    }
    Ok(())
}

/// Refuses a will that could never be published, while there is somebody to tell.
fn check_will(will: &Will) -> Result<(), Fault> {
    let address = map::address_of(&will.topic).ok_or_else(no_topic)?;
    let inbound = Inbound {
        address,
        qos: will.qos,
        retain: will.retain,
        properties: &will.properties,
        payload: will.payload.clone(),
    };
    map::ingest(inbound, Timestamp::default())?;
    Ok(())
}

fn no_topic() -> Fault {
    let detail = "a will for a topic where nobody may publish";
    Fault::new(
        ReasonCode::TOPIC_NAME_INVALID,
        ClosedReason::Malformed,
        detail,
    )
}

/// An identifier for a client that has none.
fn random_id(caller: &Caller) -> Text {
    let mut random = [0; 16];
    caller.kernel().entropy().fill(&mut random);
    Text::from(format!("auto-{:032x}", u128::from_be_bytes(random)))
}
