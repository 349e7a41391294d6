//! Metadata: which topics there are, made on demand, and that we lead all of them.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::Stream;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};

use super::Handler;
use crate::desk::Desk;
use crate::errors::{self, Code};
use crate::fault::Fault;
use crate::text::{ours, said, theirs};
use crate::topics;

/// Our number in the cluster of one.
pub(super) const NODE: i32 = 1;

/// The name of the cluster.
pub(super) const CLUSTER: &str = "fairlead";

/// The epoch of a leader that never changes.
pub(super) const LEADER_EPOCH: i32 = 0;

#[derive(Debug)]
pub(super) struct Metadata;

impl Handler for Metadata {
    type Request = MetadataRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=12;
    const LAYOUT: Layout = Layout {
        compact_since: 9,
        fields: &[
            Field::new(
                "topics",
                Shape::Records(&[
                    Field::new("topic id", Shape::Fixed(16)).since(10),
                    Field::new("name", Shape::Text),
                ]),
            ),
            Field::new("allow auto topic creation", Shape::Fixed(1)).since(4),
            Field::new("include cluster authorized operations", Shape::Fixed(1))
                .since(8)
                .until(10),
            Field::new("include topic authorized operations", Shape::Fixed(1)).since(8),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        version: i16,
        request: MetadataRequest,
    ) -> Result<MetadataResponse, Fault> {
        let may_make = request.allow_auto_topic_creation && desk.settings.creates_topics;
        let asked = match request.topics {
            // The oldest version has no null: no topic asked for means all.
            Some(topics) if topics.is_empty() && version == 0 => None,
            asked => asked,
        };
        let topics = match asked {
            None => topics::all(desk.caller()?)
                .iter()
                .map(|stream| shown(stream))
                .collect(),
            Some(topics) => {
                let mut shown = Vec::with_capacity(topics.len());
                for topic in topics {
                    shown.push(match topic.name {
                        Some(name) => look(desk, name, may_make).await?,
                        None => {
                            refused(None, errors::UNKNOWN_TOPIC_ID).with_topic_id(topic.topic_id)
                        }
                    });
                }
                shown
            }
        };
        let (host, port) = desk.advertised();
        let broker = MetadataResponseBroker::default()
            .with_node_id(NODE.into())
            .with_host(theirs(&host))
            .with_port(port);
        Ok(MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_cluster_id(Some(said(CLUSTER)))
            .with_controller_id(NODE.into())
            .with_topics(topics))
    }
}

async fn look(
    desk: &mut Desk,
    name: TopicName,
    may_make: bool,
) -> Result<MetadataResponseTopic, Fault> {
    let wanted = ours(name.0.clone());
    let topic = match desk.topics.get(&wanted) {
        Ok(topic) => topic,
        Err(error) => return Ok(refused(Some(name), errors::of_topic(error.reason))),
    };
    let lanes = desk.settings.partitions;
    let caller = desk.caller()?;
    if may_make
        && topics::find(caller, &wanted).is_none()
        && let Err(error) = topics::make(caller, &topic, lanes).await
    {
        caller.meters().failed(&error);
        return Ok(refused(Some(name), errors::of_topic(error.reason)));
    }
    Ok(match topics::find(caller, &wanted) {
        Some(stream) => shown(&stream),
        None => refused(Some(name), errors::UNKNOWN_TOPIC_OR_PARTITION),
    })
}

fn refused(name: Option<TopicName>, code: Code) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_name(name)
        .with_error_code(code)
}

fn shown(stream: &Stream) -> MetadataResponseTopic {
    let partitions = (0..).zip(&stream.lanes).map(|(index, _)| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(NODE.into())
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(vec![NODE.into()])
            .with_isr_nodes(vec![NODE.into()])
    });
    MetadataResponseTopic::default()
        .with_name(Some(theirs(&stream.key.name).into()))
        .with_partitions(partitions.collect())
}
