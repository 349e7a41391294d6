//! The laws of a store, held by memory.

use std::sync::Arc;

use fairlead_memory::Memory;
use fairlead_testkit::{Subject, Time, laws};

fn fresh() -> Subject {
    let memory = Memory::new(1 << 30).timed_by(Arc::new(Time::at(1)));
    Subject::new(Arc::new(memory), ())
}

laws!(fresh());
