//! Which protocols there are. One line per member, no logic.

use std::sync::Arc;

use fairlead_amqp::Amqp;
use fairlead_kafka::Kafka;
use fairlead_kernel::Translator;
use fairlead_mqtt::Mqtt;

/// Every translator, in the order in which people are told of them.
pub fn all() -> Vec<Arc<dyn Translator>> {
    vec![
        Arc::new(Mqtt::default()),
        Arc::new(Kafka::default()),
        Arc::new(Amqp),
    ]
}
