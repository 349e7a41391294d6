//! Fairlead: translators/mqtt.
