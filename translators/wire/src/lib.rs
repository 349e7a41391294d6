//! Fairlead: translators/wire.
