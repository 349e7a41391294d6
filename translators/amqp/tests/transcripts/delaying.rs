//! Exchanges of type `x-delayed-message`.

use fairlead_amqp::codec::{BasicProperties, Table, confirm, exchange, tx};
use fairlead_canon::Value;

use crate::{Mesh, Peer, hear, pass, short, to};

fn delayed(routes_as: Option<&str>) -> exchange::Declare {
    let mut declare = exchange::Declare {
        exchange: short("later"),
        kind: short("x-delayed-message"),
        ..exchange::Declare::default()
    };
    if let Some(routes_as) = routes_as {
        let routes_as = Value::Text(routes_as.into());
        declare.arguments.push("x-delayed-type", routes_as);
    }
    declare
}

async fn with_delays(mesh: &Mesh) -> Peer {
    let mut peer = mesh.connect().await;
    peer.send(1, delayed(Some("topic"))).await;
    hear!(peer, 1, ExchangeDeclareOk);
    peer.declare("jobs").await;
    peer.bind("jobs", "later", "job.*").await;
    peer
}

fn put(peer: &mut Peer, delay: Value, body: &[u8]) {
    let mut headers = Table::default();
    headers.push("x-delay", delay);
    let properties = BasicProperties {
        headers: Some(headers),
        delivery_mode: Some(2),
        ..BasicProperties::default()
    };
    peer.put(to("later", "job.one"), properties, body);
}

//= exchange.x-delayed-message
#[tokio::test(start_paused = true)]
async fn a_delayed_message_is_routed_when_its_time_has_come() {
    let mesh = Mesh::new().await;
    let mut peer = with_delays(&mesh).await;
    peer.send(1, confirm::Select { no_wait: false }).await;
    hear!(peer, 1, ConfirmSelectOk);
    put(&mut peer, Value::I32(2_000), b"second");
    put(&mut peer, Value::I64(1_000), b"first");
    put(&mut peer, Value::Text("soon".into()), b"at once");
    peer.flush().await;
    let mut confirmed = 0;
    while confirmed < 3 {
        confirmed = hear!(peer, 1, BasicAck).delivery_tag;
    }
    peer.consume("jobs", true).await;
    assert_eq!(peer.delivery().await.1.body, b"at once");
    pass(999).await;
    assert_eq!(peer.depth("jobs").await, 0);
    pass(2).await;
    let (deliver, content) = peer.delivery().await;
    assert_eq!(content.body, b"first");
    assert_eq!(
        (deliver.exchange, deliver.routing_key),
        (short("later"), short("job.one"))
    );
    let headers = content.properties.headers.unwrap();
    assert_eq!(headers.get(b"x-delay"), Some(&Value::I64(-1_000)));
    pass(1_000).await;
    assert_eq!(peer.delivery().await.1.body, b"second");
}

//= exchange.x-delayed-message
#[tokio::test]
async fn a_delaying_exchange_says_how_it_routes_and_stays_so() {
    let mesh = Mesh::new().await;
    for routes_as in [None, Some("odd")] {
        let mut peer = mesh.connect().await;
        peer.send(1, delayed(routes_as)).await;
        let said = peer.closes_channel(406).await;
        let why = "Invalid argument, 'x-delayed-type' must be an existing exchange type";
        assert!(said.ends_with(why), "{said}");
    }
    let mut peer = with_delays(&mesh).await;
    peer.send(1, delayed(Some("topic"))).await;
    hear!(peer, 1, ExchangeDeclareOk);
    peer.send(1, delayed(Some("direct"))).await;
    let said = peer.closes_channel(406).await;
    assert!(
        said.ends_with("received 'direct' but current is 'topic'"),
        "{said}"
    );
}

#[tokio::test]
async fn a_delay_in_a_transaction_or_beyond_seven_weeks_is_refused() {
    let mesh = Mesh::new().await;
    let mut peer = with_delays(&mesh).await;
    put(&mut peer, Value::I64(50 * 24 * 3_600_000), b"x");
    peer.flush().await;
    peer.closes_channel(406).await;
    let mut peer = with_delays(&mesh).await;
    peer.send(1, tx::Select {}).await;
    hear!(peer, 1, TxSelectOk);
    put(&mut peer, Value::I32(1), b"x");
    peer.flush().await;
    peer.closes_connection(540).await;
}
