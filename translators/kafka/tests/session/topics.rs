//! Topics: asked for, made, described, removed.

use fairlead_canon::{Address, Path};
use fairlead_kafka::Kafka;
use fairlead_kernel::Translator;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    InitProducerIdRequest, MetadataRequest,
};

use crate::peer::{Mesh, Peer, text};

fn creation(name: &str, partitions: i32) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(text(name).into())
        .with_num_partitions(partitions)
        .with_replication_factor(-1)
}

async fn create(peer: &mut Peer, topic: CreatableTopic) -> i16 {
    let request = CreateTopicsRequest::default().with_topics(vec![topic]);
    peer.ask(7, request).await.topics[0].error_code
}

/// Makes a topic.
pub(crate) async fn topic(peer: &mut Peer, name: &str, partitions: i32) {
    assert_eq!(create(peer, creation(name, partitions)).await, 0);
}

async fn metadata(peer: &mut Peer, name: &str, may_make: bool) -> MetadataResponseTopic {
    let topic = MetadataRequestTopic::default().with_name(Some(text(name).into()));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(may_make);
    peer.ask(12, request).await.topics.remove(0)
}

async fn all(peer: &mut Peer) -> Vec<String> {
    let answer = peer
        .ask(12, MetadataRequest::default().with_topics(None))
        .await;
    answer
        .topics
        .into_iter()
        .map(|topic| topic.name.unwrap().to_string())
        .collect()
}

//= Metadata.auto-create
#[tokio::test(start_paused = true)]
async fn asking_for_a_topic_makes_it_when_the_client_allows_it() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    assert_eq!(metadata(&mut peer, "a.b", false).await.error_code, 3);
    let made = metadata(&mut peer, "a.b", true).await;
    assert_eq!((made.error_code, made.partitions.len()), (0, 1));
    assert_eq!(made.partitions[0].leader_id, 1);
    assert_eq!(metadata(&mut peer, "no/name", true).await.error_code, 17);
    assert_eq!(all(&mut peer).await, ["a.b"]);
}

//= Metadata.brokers
#[tokio::test(start_paused = true)]
async fn the_one_broker_is_where_the_client_found_it() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    let answer = peer.ask(12, MetadataRequest::default()).await;
    let local = fairlead_kernel::testing::conn_info(1).local;
    let broker = &answer.brokers[0];
    assert_eq!(broker.host.to_string(), local.ip().to_string());
    assert_eq!(broker.port, i32::from(local.port()));
    assert_eq!(answer.controller_id, broker.node_id);
}

//= Metadata.brokers
#[tokio::test(start_paused = true)]
async fn a_listener_tells_the_address_it_was_told_and_makes_topics_as_told() {
    let mesh = Mesh::start().await;
    let settings = [("advertised", "mesh.example:9999"), ("partitions", "3")];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let door = Kafka::default().configured(&settings.into()).unwrap();
    let mut peer = mesh.dial_at(&*door);
    let answer = peer.ask(12, MetadataRequest::default()).await;
    let broker = &answer.brokers[0];
    assert_eq!((&*broker.host, broker.port), ("mesh.example", 9999));
    assert_eq!(metadata(&mut peer, "t", true).await.partitions.len(), 3);

    let settings = [("creates_topics".to_owned(), "false".to_owned())];
    let door = Kafka::default().configured(&settings.into()).unwrap();
    let mut peer = mesh.dial_at(&*door);
    assert_eq!(metadata(&mut peer, "u", true).await.error_code, 3);
}

//= CreateTopics.made
#[tokio::test(start_paused = true)]
async fn a_topic_is_made_once_and_removed_with_its_address() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    let place = |segments: &[&str]| Address::shared(Path::from_segments(segments).unwrap());
    topic(&mut peer, "a.b", 3).await;
    assert_eq!(create(&mut peer, creation("a.b", 3)).await, 36);
    topic(&mut peer, "__own", 1).await;
    let mut stranger = mesh.stranger();
    assert!(stranger.is_bound(&place(&["a", "b"])));
    assert!(
        !stranger.is_bound(&place(&["__own"])),
        "bookkeeping has no address"
    );
    let names = vec![text("a.b").into(), text("none").into()];
    let answer = peer
        .ask(5, DeleteTopicsRequest::default().with_topic_names(names))
        .await;
    let codes: Vec<i16> = answer.responses.iter().map(|one| one.error_code).collect();
    assert_eq!(codes, [0, 3]);
    assert!(!stranger.is_bound(&place(&["a", "b"])));
    assert_eq!(all(&mut peer).await, ["__own"]);
}

//= CreateTopics.refused
#[tokio::test(start_paused = true)]
async fn a_topic_that_cannot_be_as_asked_is_refused_by_its_own_code() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    let config = |name: &str, value: &str| {
        let config = CreatableTopicConfig::default()
            .with_name(text(name))
            .with_value(Some(text(value)));
        creation("t", 1).with_configs(vec![config])
    };
    for (topic, code) in [
        (creation("no/name", 1), 17),
        (creation("t", 0), 37),
        (creation("t", 10_001), 37),
        (creation("t", 1).with_replication_factor(2), 38),
        (config("cleanup.policy", "archive"), 40),
        (config("no.such.setting", "1"), 40),
    ] {
        assert_eq!(create(&mut peer, topic).await, code);
    }
    let validated = CreateTopicsRequest::default()
        .with_topics(vec![creation("t", 1)])
        .with_validate_only(true);
    assert_eq!(peer.ask(7, validated).await.topics[0].error_code, 0);
    assert_eq!(all(&mut peer).await, [""; 0], "nothing was made");
}

//= CreatePartitions.added
#[tokio::test(start_paused = true)]
async fn partitions_are_added_and_never_taken_away() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 2).await;
    for (count, code) in [(3, 0), (3, 37), (2, 37), (10_001, 37)] {
        let topic = CreatePartitionsTopic::default()
            .with_name(text("t").into())
            .with_count(count);
        let topic = topic.with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]);
        assert_eq!(
            peer.ask(3, request).await.results[0].error_code,
            code,
            "{count}"
        );
    }
    assert_eq!(metadata(&mut peer, "t", false).await.partitions.len(), 3);
}

//= DescribeConfigs.topic
#[tokio::test(start_paused = true)]
async fn the_settings_of_a_topic_are_shown_with_their_source() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    let config = CreatableTopicConfig::default()
        .with_name(text("retention.ms"))
        .with_value(Some(text("5")));
    assert_eq!(
        create(&mut peer, creation("t", 1).with_configs(vec![config])).await,
        0
    );
    let about = |kind, name: &str| {
        DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configuration_keys(None)
    };
    let resources = vec![
        about(2, "t"),
        about(2, "none"),
        about(4, "1"),
        about(4, "9"),
    ];
    let answer = peer
        .ask(
            4,
            DescribeConfigsRequest::default().with_resources(resources),
        )
        .await;
    let codes: Vec<i16> = answer.results.iter().map(|one| one.error_code).collect();
    assert_eq!(codes, [0, 3, 0, 42]);
    let shown = |name: &str| {
        let config = answer.results[0]
            .configs
            .iter()
            .find(|config| *config.name == *name)
            .unwrap();
        (
            config.value.clone().unwrap().to_string(),
            config.config_source,
        )
    };
    assert_eq!(shown("retention.ms"), ("5".to_owned(), 1));
    assert_eq!(shown("cleanup.policy"), ("delete".to_owned(), 5));
}

//= InitProducerId.idempotent
#[tokio::test(start_paused = true)]
async fn producers_get_numbers_of_their_own() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    let request = InitProducerIdRequest::default().with_transactional_id(None);
    let one = peer.ask(4, request.clone()).await;
    let two = peer.ask(4, request).await;
    assert_eq!((one.error_code, one.producer_epoch), (0, 0));
    assert_ne!(one.producer_id, two.producer_id);
}
