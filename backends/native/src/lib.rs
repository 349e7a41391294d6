//! Fairlead: backends/native.
