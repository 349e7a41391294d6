//! How clients leave, and how the next process comes.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::bench::{Bench, Line, Manners, POLITE, STUBBORN};
use crate::{Cause, path_in, take};

const NEXT: Line = Line {
    word: "next\n",
    manners: Manners::Polite,
};

#[test]
fn the_next_process_serves_new_clients_and_the_old_ones_are_asked_to_leave() {
    let bench = Bench::new();
    let old = bench.serve(POLITE);
    let mut client = old.client();
    assert_eq!(client.hears(), "hello\n");

    let (sockets, taken) = take_when_offered(&bench);
    let new = bench.run(NEXT, None, sockets);
    assert_eq!(new.address, old.address);
    taken.confirm().unwrap();

    assert_eq!(client.hears(), "bye\n");
    assert!(client.is_closed());
    let address = old.address;
    assert_eq!(old.end(), Cause::HandedOver);
    // The next process accepts although its store is not open yet, and serves once it is.
    let mut waiting = super::bench::Client::to(address);
    new.keeper.open(bench.kernel());
    assert_eq!(waiting.hears(), "next\n");
    new.stop();
}

#[test]
fn no_client_is_refused_while_the_sockets_change_hands() {
    let bench = Bench::new();
    let old = bench.serve(POLITE);
    let address = old.address;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let knocking = scope.spawn(|| {
            let mut knocks = 0;
            while !is_over.load(Ordering::Relaxed) {
                TcpStream::connect(address).expect("no client is refused");
                knocks += 1;
            }
            knocks
        });
        let (sockets, taken) = take_when_offered(&bench);
        let new = bench.run(NEXT, None, sockets);
        taken.confirm().unwrap();
        assert_eq!(old.end(), Cause::HandedOver);
        new.keeper.open(bench.kernel());
        while new.client().hears() != "next\n" {}
        is_over.store(true, Ordering::Relaxed);
        assert!(knocking.join().unwrap() > 0);
        new.stop();
    });
}

#[test]
fn a_next_process_that_dies_before_it_is_ready_leaves_the_old_one_serving() {
    let bench = Bench::new();
    let old = bench.serve(POLITE);
    let mut client = old.client();
    assert_eq!(client.hears(), "hello\n");
    drop(take_when_offered(&bench));
    client.say("still here\n");
    assert_eq!(client.hears(), "still here\n");
    assert_eq!(old.client().hears(), "hello\n");
    old.stop();
}

#[test]
fn a_client_that_does_not_leave_is_cut_off_after_the_drain_time() {
    let mut bench = Bench::new();
    bench.drain_max = Duration::from_millis(50);
    let old = bench.serve(STUBBORN);
    let mut client = old.client();
    assert_eq!(client.hears(), "hello\n");
    let (sockets, taken) = take_when_offered(&bench);
    drop(sockets);
    taken.confirm().unwrap();
    assert_eq!(old.end(), Cause::HandedOver);
    assert!(client.is_closed());
}

#[test]
fn a_node_that_loses_its_store_does_not_wait_for_its_clients() {
    let bench = Bench::new();
    let running = bench.serve(STUBBORN);
    let mut client = running.client();
    assert_eq!(client.hears(), "hello\n");
    running.stop();
    assert!(client.is_closed());
}

/// The offer begins a moment after the gate opens.
fn take_when_offered(bench: &Bench) -> (Vec<crate::Socket>, crate::Taken) {
    let path = path_in(bench.dir.path());
    loop {
        if let Some(offer) = take(&path).unwrap() {
            return offer;
        }
    }
}
