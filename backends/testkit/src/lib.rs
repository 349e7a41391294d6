//! Fairlead: backends/testkit.
