//! Handing the doors to a next process under load, undisturbed and with a `kill -9` on either side.

use std::io::Read;
use std::time::Duration;

use fairlead_tests::{Load, Mesh, Node, tools};

const ENOUGH: usize = 300;
/// A hand-over is struck after 0, 1, 2 .. knocks at the doors, each some 20 ms: from before it began to after it is done.
const MOMENTS: usize = 8;

#[test]
fn a_hand_over_refuses_no_client_and_loses_nothing() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let mut load = Load::prepare(&mesh);
    let new = load.round(mesh, ENOUGH, |mut old| {
        let next = node.upgrade();
        while old.is_running() {
            knock(&old);
        }
        next.ready()
    });
    load.audit(&new);
}

#[test]
fn the_old_process_killed_while_it_hands_over_loses_nothing() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let mut load = Load::prepare(&mesh);
    let new = load.round(mesh, ENOUGH, |old| {
        let new = node.upgrade().ready();
        old.kill();
        new
    });
    load.audit(&new);
}

#[test]
fn both_processes_killed_at_any_moment_of_a_hand_over_lose_nothing() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let first = node.start();
    let mut load = Load::prepare(&first);
    load.round(first, ENOUGH, Mesh::kill);
    for moment in 0..MOMENTS {
        load.round(node.start(), ENOUGH, |old| {
            let next = node.upgrade();
            for _ in 0..moment {
                knock(&old);
            }
            next.kill();
            old.kill();
        });
    }
    load.audit(&node.start());
}

/// Connects to each door; a refused connection panics. Listens a moment, which is the pace of the knocking.
fn knock(mesh: &Mesh) {
    for door in ["mqtt", "kafka", "amqp", "admin"] {
        let mut stream = mesh.connect(door);
        stream
            .set_read_timeout(Some(Duration::from_millis(5)))
            .expect("a timeout is legal");
        // Silence, a farewell and a greeting are all fine; only a refused connection is not.
        stream.read_exact(&mut [0; 64]).ok();
    }
}
