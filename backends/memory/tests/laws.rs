//! The laws of a store, held by memory.

use std::sync::Arc;

use fairlead_memory::Memory;
use fairlead_testkit::{Subject, laws};

fn fresh() -> Subject {
    Subject::new(Arc::new(Memory::new(1 << 30)), ())
}

laws!(fresh());
