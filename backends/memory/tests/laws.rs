//! The laws of a store, held by memory.

use std::sync::Arc;

use fairlead_canon::Timestamp;
use fairlead_memory::Memory;
use fairlead_ports::Clock;
use fairlead_testkit::{Subject, laws};

#[derive(Debug)]
struct Fixed;

impl Clock for Fixed {
    fn wall(&self) -> Timestamp {
        Timestamp(1)
    }
}

fn fresh() -> Subject {
    let memory = Memory::new(1 << 30).timed_by(Arc::new(Fixed));
    Subject::new(Arc::new(memory), ())
}

laws!(fresh());
