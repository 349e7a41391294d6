//! Fairlead: translators/registry.
