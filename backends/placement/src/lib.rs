//! Fairlead: backends/placement.
