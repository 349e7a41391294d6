//! Exchanges as realms: looking them up, what they were declared as, and the bindings that leave them.

use bytes::{BufMut, Bytes, BytesMut};
use fairlead_canon::{HeadersBuilder, Message, Pattern, RealmId, Text, Value};
use fairlead_kernel::{
    Binding, Caller, Change, Destination, HeaderMatch, Match, NewRealm, Realm, Rule, Topology,
};

use crate::ORIGIN;
use crate::arguments::{text_bytes, type_name};
use crate::codec::{Method, ShortStr, Table, exchange};
use crate::errors::{Refusal, ReplyCode};
use crate::map::{SHARED_EXCHANGE, routing_key};
use crate::names::{RoutingKey, path_of, pattern_of};

/// Names that only the server may declare.
pub(crate) const RESERVED_PREFIX: &str = "amq.";

/// The exchanges that are always there, beside the default one and the shared one.
const PREDECLARED: [(&str, Kind); 4] = [
    ("amq.direct", Kind::Direct),
    ("amq.fanout", Kind::Fanout),
    ("amq.headers", Kind::Headers),
    ("amq.match", Kind::Headers),
];

/// Headers that one binding compares: each publish to the exchange pays for every one.
const HEADERS_WANTED_MAX: usize = 256;

/// The argument that names where unroutable messages go.
pub(crate) const ALTERNATE: &str = "alternate-exchange";

/// Bit in the first byte of an exchange's document: clients may not publish to it.
const INTERNAL: u8 = 1;
/// Bit there: what clients publish to it may be routed later.
const DELAYED: u8 = 2;

/// The type of exchanges that route later, and the argument that names how they route.
const DELAYED_TYPE: &str = "x-delayed-message";
pub(crate) const ROUTES_AS: &str = "x-delayed-type";

/// The types of exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A key equals the binding's.
    Direct,
    /// Every binding matches.
    Fanout,
    /// A key matches the binding's words.
    Topic,
    /// Headers match the binding's arguments.
    Headers,
}

/// An exchange other than the default one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// Its realm.
    pub(crate) realm: RealmId,
    /// Its type.
    pub(crate) kind: Kind,
    /// Clients may not publish to it.
    pub(crate) is_internal: bool,
    /// What clients publish to it may be routed later.
    pub(crate) is_delayed: bool,
}

impl Kind {
    /// How an exchange is to route that is declared like this.
    pub(crate) fn asked(declare: &exchange::Declare) -> Result<Self, Refusal> {
        if declare.kind.as_bytes() == DELAYED_TYPE {
            let routes_as = declare.arguments.get(ROUTES_AS.as_bytes());
            let routes_as = routes_as.and_then(text_bytes).and_then(ShortStr::new);
            return routes_as
                .and_then(|name| Self::named(&name))
                .ok_or_else(|| {
                    let text = format!(
                        "Invalid argument, '{ROUTES_AS}' must be an existing exchange type"
                    );
                    ReplyCode::PreconditionFailed.because(text)
                });
        }
        Self::named(&declare.kind).ok_or_else(|| {
            let text = format!("unknown exchange type '{}'", shown(&declare.kind));
            ReplyCode::CommandInvalid.because(text)
        })
    }

    /// The type of that name.
    fn named(name: &ShortStr) -> Option<Self> {
        let all = [Self::Direct, Self::Fanout, Self::Topic, Self::Headers];
        all.into_iter()
            .find(|kind| kind.name().as_bytes() == name.as_bytes())
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
        }
    }

    fn rule(self) -> Rule {
        match self {
            Self::Direct => Rule::Exact,
            Self::Fanout => Rule::All,
            Self::Topic => Rule::Pattern,
            Self::Headers => Rule::Headers,
        }
    }

    fn of(rule: Rule) -> Self {
        match rule {
            Rule::Exact => Self::Direct,
            Rule::All => Self::Fanout,
            Rule::Pattern => Self::Topic,
            Rule::Headers => Self::Headers,
        }
    }
}

impl Exchange {
    /// The name of its type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.is_delayed {
            true => DELAYED_TYPE,
            false => self.kind.name(),
        }
    }
}

/// The exchange of that name; `None` when there is none.
pub(crate) fn find(topology: &Topology, name: &ShortStr) -> Option<Exchange> {
    if name.as_bytes() == SHARED_EXCHANGE {
        return Some(Exchange {
            realm: RealmId::SHARED,
            kind: Kind::Topic,
            is_internal: false,
            is_delayed: false,
        });
    }
    own_realm(topology, name).map(|realm| {
        let flags = realm.document.first().copied().unwrap_or_default();
        Exchange {
            realm: realm.id,
            kind: Kind::of(realm.rule),
            is_internal: flags & INTERNAL != 0,
            is_delayed: flags & DELAYED != 0,
        }
    })
}

/// The exchange of that name, or the refusal that clients know.
pub(crate) fn require(caller: &Caller, name: &ShortStr) -> Result<Exchange, Refusal> {
    let found = caller.topology(|topology| find(topology, name));
    found.ok_or_else(|| not_found(name))
}

pub(crate) fn not_found(name: &ShortStr) -> Refusal {
    ReplyCode::NotFound.because(format!("no exchange '{}' in vhost '/'", shown(name)))
}

/// Refuses what cannot be done with the default exchange.
pub(crate) fn refuse_default(name: &ShortStr) -> Result<(), Refusal> {
    match name.is_empty() {
        true => {
            let text = "operation not permitted on the default exchange";
            Err(ReplyCode::AccessRefused.because(text))
        }
        false => Ok(()),
    }
}

/// What an exchange was declared as; `None` for the shared one.
pub(crate) fn declaration(realm: &Realm) -> Option<exchange::Declare> {
    let payload = realm.document.get(1..)?;
    match Method::decode(&Bytes::copy_from_slice(payload)) {
        Ok(Method::ExchangeDeclare(declare)) => Some(declare),
        _ => None,
    }
}

/// The realm of an exchange that was declared here.
pub(crate) fn own_realm<'a>(
    topology: &'a Topology,
    name: &ShortStr,
) -> Option<&'a std::sync::Arc<Realm>> {
    let realm = topology.realm(name.as_str()?)?;
    (realm.origin == ORIGIN).then_some(realm)
}

/// The realm to be made for a declaration.
pub(crate) fn new_realm(declare: &exchange::Declare, kind: Kind) -> Result<NewRealm, Refusal> {
    let name = Text::try_from(declare.exchange.as_bytes().clone());
    let name = name.map_err(|_not_utf8| {
        ReplyCode::PreconditionFailed.because("the name of an exchange is UTF-8 text")
    })?;
    Ok(NewRealm {
        name,
        rule: kind.rule(),
        is_durable: declare.durable,
        alternate: alternate(declare)?,
        origin: ORIGIN,
        document: document(declare)?,
    })
}

//= exchange.declare.alternate-exchange: what no binding of an exchange takes goes to another one.
fn alternate(declare: &exchange::Declare) -> Result<Option<Text>, Refusal> {
    let Some(value) = declare.arguments.get(ALTERNATE.as_bytes()) else {
        return Ok(None);
    };
    let exchange = text_bytes(value).and_then(|name| Text::try_from(name).ok());
    let exchange = exchange.ok_or_else(|| {
        ReplyCode::PreconditionFailed.because(format!(
            "invalid type '{}' for arg '{ALTERNATE}' in exchange '{}' in vhost '/'",
            type_name(value),
            shown(&declare.exchange)
        ))
    })?;
    Ok(Some(realm_name(exchange)))
}

/// The name of the realm that an exchange of that name is, whether or not there is one.
pub(crate) fn realm_name(exchange: Text) -> Text {
    match &*exchange {
        "" => Text::from_static(Realm::QUEUES_NAME),
        SHARED_EXCHANGE => Text::from_static(Realm::SHARED_NAME),
        _ => exchange,
    }
}

/// The name of the exchange that the realm of that name is.
pub(crate) fn exchange_name(realm: &Text) -> Text {
    match &**realm {
        Realm::QUEUES_NAME => Text::from_static(""),
        Realm::SHARED_NAME => Text::from_static(SHARED_EXCHANGE),
        _ => realm.clone(),
    }
}

fn document(declare: &exchange::Declare) -> Result<Bytes, Refusal> {
    let said = exchange::Declare {
        passive: false,
        no_wait: false,
        ..declare.clone()
    };
    let mut document = BytesMut::new();
    let internal = u8::from(declare.internal) * INTERNAL;
    let delayed = u8::from(declare.kind.as_bytes() == DELAYED_TYPE) * DELAYED;
    document.put_u8(internal | delayed);
    let written = Method::from(said).encode(&mut fairlead_wire::Writer::new(&mut document));
    written.map_err(|error| ReplyCode::InternalError.because(error.to_string()))?;
    Ok(document.freeze())
}

/// Makes the exchanges that are always there, once per data directory.
pub(crate) async fn predeclare(caller: &mut Caller) -> Result<(), Refusal> {
    for (name, kind) in PREDECLARED {
        let declare = exchange::Declare {
            exchange: ShortStr::from_static(name),
            kind: ShortStr::from_static(kind.name()),
            durable: true,
            ..exchange::Declare::default()
        };
        if caller.topology(|topology| own_realm(topology, &declare.exchange).is_some()) {
            continue;
        }
        let made = caller
            .declare(vec![Change::CreateRealm(new_realm(&declare, kind)?)])
            .await;
        if let Err(error) = made {
            // Another connection was quicker.
            let is_there = |topology: &Topology| find(topology, &declare.exchange).is_some();
            if !caller.topology(is_there) {
                return Err(error.into());
            }
        }
    }
    Ok(())
}

/// Removes an exchange, and the exchanges that go with their last binding when this was it.
pub(crate) async fn remove(caller: &mut Caller, realm: RealmId) -> Result<(), Refusal> {
    let mut going = vec![realm];
    while let Some(realm) = going.pop() {
        let to = Destination::Realm(realm);
        let sources: Vec<RealmId> = caller.topology(|topology| {
            let bindings = topology.bindings_to(&to);
            bindings.map(|binding| binding.from).collect()
        });
        caller.declare(vec![Change::RemoveRealm(realm)]).await?;
        let left = sources
            .into_iter()
            .filter(|source| is_left(caller, *source));
        going.extend(left);
    }
    Ok(())
}

//= exchange.declare.auto-delete: the exchange goes with the last binding that leaves it.
pub(crate) async fn remove_if_left(caller: &mut Caller, realm: RealmId) -> Result<(), Refusal> {
    match is_left(caller, realm) {
        true => remove(caller, realm).await,
        false => Ok(()),
    }
}

fn is_left(caller: &Caller, realm: RealmId) -> bool {
    caller.topology(|topology| {
        let own = topology
            .realm_by_id(realm)
            .filter(|realm| realm.origin == ORIGIN);
        let goes = own
            .and_then(|realm| declaration(realm))
            .is_some_and(|said| said.auto_delete);
        goes && !topology.leads_on(realm)
    })
}

/// A binding from an exchange, as a client asks for it.
pub(crate) fn binding(
    exchange: &Exchange,
    key: &ShortStr,
    arguments: &Table,
    to: Destination,
) -> Result<Binding, Refusal> {
    let on = match exchange.kind {
        Kind::Direct | Kind::Fanout => {
            let path = path_of(key.as_bytes()).map_err(|error| bad_key(&error.to_string()))?;
            Match::Pattern(Pattern::exact(exchange.realm, &path))
        }
        Kind::Topic => Match::Pattern(pattern_of(exchange.realm, key.as_bytes())),
        Kind::Headers => Match::Headers(header_match(arguments)?),
    };
    Ok(Binding {
        from: exchange.realm,
        on,
        to,
        no_local: false,
        document: binding_document(exchange.kind, key, arguments)?,
    })
}

/// What makes two bindings of the same match two.
fn binding_document(kind: Kind, key: &ShortStr, arguments: &Table) -> Result<Bytes, Refusal> {
    if kind != Kind::Headers && arguments.0.is_empty() {
        return Ok(Bytes::new());
    }
    let bind = exchange::Bind {
        routing_key: key.clone(),
        arguments: arguments.clone(),
        ..exchange::Bind::default()
    };
    let mut document = BytesMut::new();
    let written = Method::from(bind).encode(&mut fairlead_wire::Writer::new(&mut document));
    written.map_err(|error| ReplyCode::InternalError.because(error.to_string()))?;
    Ok(document.freeze())
}

//= exchange.headers: `x-match` asks for all or any; arguments that begin with `x-` are compared only
//= exchange.headers: with `all-with-x` or `any-with-x`; a void value asks for the name alone.
fn header_match(arguments: &Table) -> Result<HeaderMatch, Refusal> {
    let (wants_all, with_x) = match arguments.get(b"x-match") {
        None => (true, false),
        Some(Value::Text(text)) => match &**text {
            "all" => (true, false),
            "any" => (false, false),
            "all-with-x" => (true, true),
            "any-with-x" => (false, true),
            other => return Err(bad_match(other)),
        },
        Some(_) => return Err(bad_match("a value that is not text")),
    };
    if arguments.0.len() > HEADERS_WANTED_MAX {
        let text = format!("a binding compares at most {HEADERS_WANTED_MAX} headers");
        return Err(ReplyCode::PreconditionFailed.because(text));
    }
    let mut wanted = HeadersBuilder::default();
    for (name, value) in &arguments.0 {
        if name != "x-match" && (with_x || !name.starts_with(b"x-")) {
            wanted.push(name, value);
        }
    }
    let wanted = wanted
        .build()
        .map_err(|error| ReplyCode::SyntaxError.because(error.to_string()))?;
    Ok(HeaderMatch { wants_all, wanted })
}

fn bad_match(said: &str) -> Refusal {
    let text = format!(
        "Invalid x-match field value '{said}'; expected all, any, all-with-x, or any-with-x"
    );
    ReplyCode::PreconditionFailed.because(text)
}

fn bad_key(why: &str) -> Refusal {
    ReplyCode::PreconditionFailed.because(format!("routing key: {why}"))
}

/// Where a message was published, as its consumer sees it.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) exchange: ShortStr,
    pub(crate) routing_key: ShortStr,
    /// The whole key, when it is too long to be shown.
    pub(crate) whole_key: Option<Bytes>,
}

/// Exchange and routing key of a message.
pub(crate) fn shown_at(caller: &Caller, message: &Message) -> Shown {
    let exchange = match message.address.realm {
        RealmId::SHARED => const { ShortStr::from_static(SHARED_EXCHANGE) },
        RealmId::QUEUES => ShortStr::default(),
        realm => caller.topology(|topology| {
            // An exchange that was deleted meanwhile has no name any more.
            let realm = topology.realm_by_id(realm);
            realm
                .map(|realm| ShortStr::cut(&realm.name))
                .unwrap_or_default()
        }),
    };
    let (routing_key, whole_key) = match routing_key(&message.address) {
        RoutingKey::Whole(key) => (key, None),
        RoutingKey::Cut(key, whole) => (key, Some(whole)),
    };
    Shown {
        exchange,
        routing_key,
        whole_key,
    }
}

/// A name in a text for people.
pub(crate) fn shown(name: &ShortStr) -> String {
    name.as_bytes().escape_ascii().to_string()
}
