//! Who is let in.

use super::bench::{Bench, POLITE};

#[test]
fn a_client_that_comes_before_the_store_is_open_is_served_once_it_is() {
    let bench = Bench::new();
    let running = bench.run(POLITE, None, Vec::new());
    let mut early = running.client();
    early.say("x\n");
    running.keeper.open(bench.kernel());
    assert_eq!(early.hears(), "hello\n");
    assert_eq!(early.hears(), "x\n");
    running.stop();
}

#[test]
fn a_client_of_a_node_that_never_opens_is_turned_away() {
    let bench = Bench::new();
    let running = bench.run(POLITE, None, Vec::new());
    let mut early = running.client();
    running.stop();
    assert!(early.is_closed());
}

#[test]
fn a_client_beyond_the_limit_is_turned_away_and_the_next_place_is_given_again() {
    let mut bench = Bench::new();
    bench.connections_max = 1;
    let running = bench.serve(POLITE);
    let mut first = running.client();
    assert_eq!(first.hears(), "hello\n");
    assert!(running.client().is_closed());
    drop(first);
    // The place is free once the server has seen the end; until then one is turned away.
    while running.client().hears() != "hello\n" {}
    running.stop();
}

#[test]
fn connections_are_counted_by_listener() {
    let bench = Bench::new();
    let running = bench.serve(POLITE);
    let kernel = running.gate.kernel().unwrap();
    let meters = kernel.meters("line", "front").unwrap();
    let mut client = running.client();
    assert_eq!(client.hears(), "hello\n");
    assert_eq!(meters.connections.get(), 1);
    assert_eq!(meters.opened.get(), 1);
    drop(client);
    while meters.connections.get() > 0 {
        std::thread::yield_now();
    }
    running.stop();
}
