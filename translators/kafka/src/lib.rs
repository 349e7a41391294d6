//! Fairlead: translators/kafka.
