//! Connections without a task: they are answered as they lie, and miss nothing.

mod house;
mod rules;

use std::io::Write;
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use fairlead_mqtt::codec::{Ack, Delivery, Disconnect, Packet, Publish, Qos, ReasonCode};
use fairlead_tests::{Device, Dice, packet_id, publish};

use house::House;
use rules::Note;

/// Short, so that the tests are; long enough for several packets in a row.
const QUIET: Duration = Duration::from_millis(20);
/// About as long as a round of the test of the moment between takes.
const MOMENT: Duration = Duration::from_millis(3);
/// Pairs of a client that rests and one that publishes for it, in the test of the moment between.
const PAIRS: usize = 50;
/// Messages of each: 10,000 in all.
const ROUNDS: usize = 200;
const SEED: u64 = 0x1ea5_e0fb;

#[test]
fn a_quiet_client_rests_is_answered_as_it_lies_and_gets_what_is_for_it() {
    let house = House::open(QUIET);
    let mut device = house.subscriber("lamp");
    house.rest(1);
    device.ping();
    assert_eq!(house.resting(), 1, "a sign of life wakes nobody");

    let mut publisher = house.client("switch");
    tell(&mut publisher, "lamp", b"on");
    assert_eq!(&*heard(&mut device), b"on");
    assert!(matches!(publisher.next(), Packet::PubAck(_)));
    house.rest(2);
    tell(&mut publisher, "lamp", b"off");
    assert_eq!(&*heard(&mut device), b"off");
    assert!(matches!(publisher.next(), Packet::PubAck(_)));
}

#[test]
fn a_sign_of_life_of_a_sleeper_is_counted_like_any_packet() {
    let house = House::open(QUIET);
    let mut device = house.client("lamp");
    house.rest(1);
    (0..3).for_each(|_| device.ping());
    assert_eq!(house.resting(), 1);
    device.subscribe("$SYS/broker/messages/received", Qos::AtMostOnce);
    // CONNECT and three PINGREQ: SUBSCRIBE counts when it has been answered.
    match device.next() {
        Packet::Publish(told) => assert_eq!(told.payload, "4"),
        other => panic!("instead of a count: {other:?}"),
    }
}

#[test]
fn what_a_sleeper_says_in_two_pieces_is_heard_as_one() {
    let house = House::open(QUIET);
    let (mut device, mut line) = house.dial("lamp", 0);
    device.admitted();
    house.rest(1);
    line.write_all(&[0xc0]).expect("the server reads");
    house.rest(0);
    line.write_all(&[0, 0xc0, 0]).expect("the server reads");
    assert_eq!(device.next(), Packet::PingResp);
    assert_eq!(device.next(), Packet::PingResp);
    house.rest(1);
    // Two signs of life at once are more than it answers as it lies.
    line.write_all(&[0xc0, 0, 0xc0, 0])
        .expect("the server reads");
    assert_eq!(device.next(), Packet::PingResp);
    assert_eq!(device.next(), Packet::PingResp);
    house.rest(1);
    line.shutdown(Shutdown::Both).expect("it is open");
    house.rest(0);
    house.empty();
}

#[test]
fn a_sleeper_is_told_that_another_took_its_place_that_it_was_sent_away_and_that_the_process_goes() {
    let house = House::open(QUIET);
    let mut first = house.client("lamp");
    house.rest(1);
    let mut second = house.client("lamp");
    ends(&mut first, ReasonCode::SESSION_TAKEN_OVER);
    house.rest(1);
    assert!(house.kernel.displace(b"lamp"));
    ends(&mut second, ReasonCode::ADMINISTRATIVE_ACTION);
    let mut third = house.client("lamp");
    house.rest(1);
    house.drain();
    ends(&mut third, ReasonCode::SERVER_SHUTTING_DOWN);
    house.end();
}

#[test]
fn a_sleeper_hears_nothing_without_its_grant_and_goes_on_with_it() {
    let house = House::open(QUIET);
    let mut devices = [Qos::AtMostOnce, Qos::AtLeastOnce].map(|qos| {
        let mut device = house.client(&format!("{qos:?}"));
        device.subscribe("lamp", qos);
        device
    });
    let mut publisher = house.client("switch");
    house.rest(3);
    house.note(Note::Subscribing, Some(()));
    tell(&mut publisher, "lamp", b"unheard");
    assert!(matches!(publisher.next(), Packet::PubAck(_)));
    house.withheld(2);
    house.rest(3);
    house.note(Note::Subscribing, None);
    for device in &mut devices {
        // The first one may be answered as it lies, the next wakes it if it has not been called; then it has heard.
        (0..3).for_each(|_| device.ping());
    }
    tell(&mut publisher, "lamp", b"heard");
    for device in &mut devices {
        assert_eq!(told(device), "heard");
    }
}

#[test]
fn a_sleeper_hears_the_part_of_its_filter_that_is_granted() {
    let house = House::open(QUIET);
    let mut devices = [Qos::AtMostOnce, Qos::AtLeastOnce].map(|qos| {
        let mut device = house.client(&format!("{qos:?}"));
        device.subscribe("+", qos);
        device
    });
    let mut publisher = house.client("switch");
    let mut withheld = 0;
    for (note, is_granted) in [(None, true), (Some(()), false), (None, true)] {
        house.rest(3);
        house.note(Note::HearingSecrets, note);
        for topic in ["secret", "lamp", "secret"] {
            tell(&mut publisher, topic, topic.as_bytes());
            assert!(matches!(publisher.next(), Packet::PubAck(_)));
            if is_granted || topic == "lamp" {
                for device in &mut devices {
                    assert_eq!(told(device), topic);
                }
            } else {
                withheld += devices.len() as i64;
                house.withheld(withheld);
            }
            house.rest(3);
        }
    }
}

#[test]
fn a_sleeper_is_sent_away_when_its_login_holds_no_more() {
    let house = House::open(QUIET);
    let mut device = house.client("lamp");
    house.rest(1);
    house.note(Note::Staying, Some(()));
    ends(&mut device, ReasonCode::NOT_AUTHORIZED);
    house.empty();
}

#[test]
fn a_sleeper_that_gives_no_sign_of_life_is_silent_in_time() {
    let house = House::open(QUIET);
    let (mut device, _line) = house.dial("lamp", 1);
    device.admitted();
    house.rest(1);
    device.ping();
    ends(&mut device, ReasonCode::KEEP_ALIVE_TIMEOUT);
    house.rest(0);
}

#[test]
fn no_message_is_lost_to_a_client_that_goes_to_rest_at_that_moment() {
    let house = House::open(MOMENT);
    let mut dice = Dice::new(SEED);
    let mut pairs: Vec<(String, Device, Device)> = (0..PAIRS)
        .map(|number| {
            let id = format!("lamp-{number}");
            let (lamp, switch) = (house.subscriber(&id), house.client(&format!("for-{id}")));
            (id, lamp, switch)
        })
        .collect();
    for round in 0..ROUNDS {
        let said = round.to_be_bytes();
        for (id, _, switch) in &mut pairs {
            tell(switch, id, &said);
        }
        for (_, lamp, switch) in &mut pairs {
            assert_eq!(heard(lamp)[..], said);
            assert!(matches!(switch.next(), Packet::PubAck(_)));
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "so that the next one meets them in any state"
        )]
        thread::sleep(MOMENT * dice.below(20) as u32 / 10);
    }
    house.rest(2 * PAIRS as i64);
}

/// Publishes, and does not wait for the answer.
fn tell(publisher: &mut Device, topic: &str, payload: &[u8]) {
    let delivery = Delivery::AtLeastOnce(packet_id(1));
    publisher.send([Packet::Publish(publish(topic, delivery, payload))]);
}

/// The payload of the next message, which has QoS 1 and is acknowledged.
fn heard(device: &mut Device) -> Bytes {
    let (delivery, payload) = next_message(device);
    assert!(matches!(delivery, Delivery::AtLeastOnce(_)), "{delivery:?}");
    payload
}

/// The payload of the next message of any QoS, which is acknowledged as that asks.
fn told(device: &mut Device) -> Bytes {
    next_message(device).1
}

fn next_message(device: &mut Device) -> (Delivery, Bytes) {
    match device.next() {
        Packet::Publish(Publish {
            delivery, payload, ..
        }) => {
            if let Delivery::AtLeastOnce(id) = delivery {
                device.send([Packet::PubAck(Ack::new(id, ReasonCode::SUCCESS))]);
            }
            (delivery, payload)
        }
        other => panic!("instead of a message: {other:?}"),
    }
}

fn ends(device: &mut Device, wanted: ReasonCode) {
    match device.next() {
        Packet::Disconnect(Disconnect { reason, .. }) => assert_eq!(reason, wanted),
        other => panic!("instead of the end: {other:?}"),
    }
}
