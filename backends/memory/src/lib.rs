//! Fairlead: backends/memory.
