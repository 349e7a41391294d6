//! Fairlead: translators/amqp.
