//! Where a message has died, as the headers that RabbitMQ's clients know (`mapping.md` section 11).

use bytes::Bytes;
use fairlead_canon::{Address, Death, Message, RealmId, Text, Value};

use super::place::routing_key;
use crate::codec::Table;
use crate::exchanges::exchange_name;
use crate::names::RoutingKey;

/// The whole history: one table per queue and reason, the latest in front.
const HISTORY: &str = "x-death";

/// Names further routing keys.
const CC: &[u8] = b"CC";

/// The headers of the first and of the last death.
const FIRST: [&str; 3] = [
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
];
const LAST: [&str; 3] = [
    "x-last-death-exchange",
    "x-last-death-queue",
    "x-last-death-reason",
];

//= queue.dead-letter.x-death: the history of deaths is in the headers that RabbitMQ writes; what a client
//= queue.dead-letter.x-death: has written there itself gives way to it.
pub(super) fn add(message: &Message, headers: &mut Option<Table>) {
    let deaths = message.properties.as_deref().map(|said| &said.deaths);
    let Some((deaths, last)) = deaths.and_then(|deaths| Some((deaths, deaths.iter().next()?)))
    else {
        return;
    };
    let table = headers.get_or_insert_default();
    let ours = |name: &Bytes| {
        let names = FIRST.iter().chain(&LAST).chain([&HISTORY]);
        names.into_iter().any(|ours| name == ours)
    };
    let further_keys = table.get(CC).cloned();
    // A queue that gives its dead letters a key of their own takes the further ones off.
    let was_renamed = deaths
        .iter()
        .any(|death| death.path != message.address.path);
    let is_void = |name: &Bytes| was_renamed && name == CC;
    table.0.retain(|(name, _)| !ours(name) && !is_void(name));
    let history = deaths
        .iter()
        .map(|death| entry(death, further_keys.as_ref()));
    table.push(HISTORY, Value::List(history.collect()));
    // Forgotten only when the history is longer than we remember, and then not the first of all.
    add_place(FIRST, deaths.first().unwrap_or(last), table);
    add_place(LAST, last, table);
}

fn add_place([exchange, queue, reason]: [&'static str; 3], death: &Death, table: &mut Table) {
    table.push(exchange, Value::Text(exchange_name(&death.realm)));
    table.push(queue, Value::Text(death.stream.clone()));
    table.push(reason, Value::Text(Text::from_static(death.reason.word())));
}

fn entry(death: &Death, further_keys: Option<&Value>) -> Value {
    let mut entry = Table::default();
    entry.push(
        "count",
        Value::I64(i64::try_from(death.count).unwrap_or(i64::MAX)),
    );
    entry.push(
        "reason",
        Value::Text(Text::from_static(death.reason.word())),
    );
    entry.push("queue", Value::Text(death.stream.clone()));
    let seconds = death.first_at.0 / 1000;
    entry.push(
        "time",
        Value::TimeSeconds(i64::try_from(seconds).unwrap_or(i64::MAX)),
    );
    entry.push("exchange", Value::Text(exchange_name(&death.realm)));
    entry.push(
        "routing-keys",
        Value::List(routing_keys(death, further_keys)),
    );
    if let Some(life) = death.life_ms {
        entry.push(
            "original-expiration",
            Value::Text(Text::from(life.to_string())),
        );
    }
    Value::Map(entry.0)
}

/// The keys under which it had been published; further ones belong to its own publish alone.
fn routing_keys(death: &Death, further_keys: Option<&Value>) -> Vec<Value> {
    let realm = match &*exchange_name(&death.realm) {
        "" => RealmId::QUEUES,
        _ => RealmId::SHARED,
    };
    let key = match routing_key(&Address::new(realm, death.path.clone())) {
        RoutingKey::Whole(key) => key.into_bytes(),
        RoutingKey::Cut(_, whole) => whole,
    };
    let mut keys = vec![long_text(key)];
    if let Some(Value::List(further)) = further_keys
        && death.is_first
    {
        keys.extend(further.iter().cloned());
    }
    keys
}

fn long_text(bytes: Bytes) -> Value {
    match Text::try_from(bytes.clone()) {
        Ok(text) => Value::Text(text),
        Err(_not_utf8) => Value::RawText(bytes),
    }
}
