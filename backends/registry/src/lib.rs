//! Fairlead: backends/registry.
