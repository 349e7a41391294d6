//! What the native store costs, in process: `cargo bench -p fairlead-tests --bench store [SCENARIO...]`.
//!
//! Read the ratios. Times are taken beside a calibration in the same loop, sizes are exact. Data goes to a directory
//! of its own under `target`, on the disk that the build is on, and is removed afterwards.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark ends where it fails, and prints what it found"
)]

mod backlog;
mod bench;
mod commit;
mod entities;
mod fan_out;
mod idle;
mod recovery;
mod switch;

use bench::Bench;

/// As in the binary, so that memory is what a node takes.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Scenario = fn(&Bench);

const SCENARIOS: [(&str, Scenario); 7] = [
    ("commit", commit::run),
    ("fan-out", fan_out::run),
    ("entities", entities::run),
    ("backlog", backlog::run),
    ("idle", idle::run),
    ("switch", switch::run),
    ("recovery", recovery::run),
];

/// Processes of their own that scenarios start, on a directory that is there.
const PARTS: [(&str, Scenario); 2] = [
    ("recovery-write", recovery::write),
    ("idle-open", idle::open),
];

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [part, name, dir] = arguments.as_slice()
        && part == bench::PART
    {
        let (_, run) = PARTS.iter().find(|(known, _)| known == name).unwrap();
        return run(&Bench::at(dir.into()));
    }
    // `cargo bench` adds a flag of its own.
    let wanted: Vec<_> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    for name in &wanted {
        assert!(
            SCENARIOS.iter().any(|(known, _)| known == *name),
            "no scenario {name}: {:?}",
            SCENARIOS.map(|(name, _)| name)
        );
    }
    for (name, run) in SCENARIOS {
        if wanted.is_empty() || wanted.iter().any(|wanted| *wanted == name) {
            println!("{name}");
            run(&Bench::new());
        }
    }
}
