//! Settings of topics, and what follows from them.

use bytes::Bytes;
use fairlead_canon::codec::records::{self, Record};
use kafka_protocol::messages::alter_configs_request::{
    AlterConfigsResource, AlterableConfig as Replacement,
};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource as Edited, AlterableConfig as Edit,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, CreateTopicsRequest, DeleteRecordsRequest, DescribeConfigsRequest,
    IncrementalAlterConfigsRequest,
};

use crate::fetch::fetch;
use crate::peer::{Mesh, Peer, batch, text, values};
use crate::produce::{produce, to};
use crate::topics::topic;

const TOPIC: i8 = 2;

/// Makes a topic of one partition with these settings.
async fn made(peer: &mut Peer, name: &str, settings: &[(&str, &str)]) {
    let config = |(name, value): &(&str, &str)| {
        CreatableTopicConfig::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
    };
    let topic = CreatableTopic::default()
        .with_name(text(name).into())
        .with_num_partitions(1)
        .with_replication_factor(-1)
        .with_configs(settings.iter().map(config).collect());
    let request = CreateTopicsRequest::default().with_topics(vec![topic]);
    assert_eq!(peer.ask(7, request).await.topics[0].error_code, 0);
}

/// The value of a setting, and where it comes from.
async fn setting(peer: &mut Peer, topic: &str, name: &str) -> (String, i8) {
    let about = DescribeConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(topic))
        .with_configuration_keys(Some(vec![text(name)]));
    let request = DescribeConfigsRequest::default().with_resources(vec![about]);
    let config = peer
        .ask(4, request)
        .await
        .results
        .remove(0)
        .configs
        .remove(0);
    (config.value.unwrap().to_string(), config.config_source)
}

async fn edit(peer: &mut Peer, topic: &str, name: &str, how: (i8, Option<&str>)) -> i16 {
    let (operation, value) = how;
    let edit = Edit::default()
        .with_name(text(name))
        .with_config_operation(operation)
        .with_value(value.map(text));
    let edited = Edited::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(topic))
        .with_configs(vec![edit]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![edited]);
    peer.ask(1, request).await.responses[0].error_code
}

//= IncrementalAlterConfigs.edited
#[tokio::test(start_paused = true)]
async fn one_setting_is_set_reset_added_to_or_taken_from_and_the_others_stay() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    made(&mut peer, "t", &[("retention.bytes", "77")]).await;
    let (set, reset, add, take) = (0, 1, 2, 3);
    assert_eq!(
        edit(&mut peer, "t", "retention.ms", (set, Some("5"))).await,
        0
    );
    assert_eq!(
        setting(&mut peer, "t", "retention.ms").await,
        ("5".to_owned(), 1)
    );
    assert_eq!(edit(&mut peer, "t", "retention.ms", (reset, None)).await, 0);
    assert_eq!(
        setting(&mut peer, "t", "retention.ms").await,
        ("-1".to_owned(), 5)
    );
    let policy = "cleanup.policy";
    assert_eq!(
        edit(&mut peer, "t", policy, (add, Some("compact"))).await,
        0
    );
    assert_eq!(setting(&mut peer, "t", policy).await.0, "delete,compact");
    assert_eq!(
        edit(&mut peer, "t", policy, (take, Some("delete"))).await,
        0
    );
    assert_eq!(setting(&mut peer, "t", policy).await.0, "compact");
    assert_eq!(setting(&mut peer, "t", "retention.bytes").await.0, "77");

    assert_eq!(edit(&mut peer, "none", policy, (reset, None)).await, 3);
    assert_eq!(edit(&mut peer, "t", "no.such", (set, Some("1"))).await, 40);
    assert_eq!(
        edit(&mut peer, "t", "retention.ms", (add, Some("1"))).await,
        40
    );
    assert_eq!(
        edit(&mut peer, "t", "retention.ms", (set, Some("x"))).await,
        40
    );
    assert_eq!(
        edit(&mut peer, "t", "retention.ms", (9, Some("1"))).await,
        42
    );
}

//= AlterConfigs.replaced
//= Produce.max-message-bytes
#[tokio::test(start_paused = true)]
async fn all_settings_are_replaced_unless_it_is_only_tried() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    made(&mut peer, "t", &[("retention.ms", "5")]).await;
    let replace = |value: &str, is_trial| {
        let config = Replacement::default()
            .with_name(text("max.message.bytes"))
            .with_value(Some(text(value)));
        let resource = AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text("t"))
            .with_configs(vec![config]);
        AlterConfigsRequest::default()
            .with_resources(vec![resource])
            .with_validate_only(is_trial)
    };
    for (value, is_trial, code) in [("100", true, 0), ("-1", false, 40)] {
        let answer = peer.ask(2, replace(value, is_trial)).await;
        assert_eq!(answer.responses[0].error_code, code);
        assert_eq!(setting(&mut peer, "t", "retention.ms").await.0, "5");
    }
    assert_eq!(
        peer.ask(2, replace("100", false)).await.responses[0].error_code,
        0
    );
    assert_eq!(setting(&mut peer, "t", "retention.ms").await.0, "-1");

    let answer = produce(&mut peer, 9, to("t", 0, batch(&["a"]))).await;
    assert_eq!(answer.error_code, 0);
    let long = "x".repeat(100);
    let answer = produce(&mut peer, 9, to("t", 0, batch(&[&long]))).await;
    assert_eq!(answer.error_code, 10, "above max.message.bytes");
}

//= Produce.compacted
#[tokio::test(start_paused = true)]
async fn a_compacted_topic_takes_no_record_without_a_key() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    made(&mut peer, "t", &[("cleanup.policy", "compact")]).await;
    let answer = produce(&mut peer, 9, to("t", 0, batch(&["a"]))).await;
    assert_eq!(answer.error_code, 87);
    let record = Record {
        key: Some(Bytes::from_static(b"k")),
        ..Record::default()
    };
    let keyed = records::build(0, &[record]);
    assert_eq!(produce(&mut peer, 9, to("t", 0, keyed)).await.error_code, 0);
}

//= Produce.log-append-time
#[tokio::test(start_paused = true)]
async fn a_topic_of_arrival_times_tells_when_a_batch_came() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    made(
        &mut peer,
        "t",
        &[("message.timestamp.type", "LogAppendTime")],
    )
    .await;
    let answer = produce(&mut peer, 9, to("t", 0, batch(&["a"]))).await;
    assert_eq!(
        (answer.error_code, answer.log_append_time_ms),
        (0, 1_000_000)
    );
    let fetched = fetch(&mut peer, "t", 0).await.records.unwrap();
    assert_eq!(
        fetched[21..23],
        8_i16.to_be_bytes(),
        "the time is the log's"
    );
    assert_eq!(fetched[35..43], 1_000_000_i64.to_be_bytes());
    assert_eq!(
        values(fetched),
        [(0, "a".to_owned())],
        "the checksum is right"
    );
    topic(&mut peer, "u", 1).await;
    let answer = produce(&mut peer, 9, to("u", 0, batch(&["a"]))).await;
    assert_eq!(answer.log_append_time_ms, -1);
}

//= DeleteRecords.forgotten
#[tokio::test(start_paused = true)]
async fn records_below_an_offset_are_deleted_when_somebody_says_so() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    made(&mut peer, "c", &[("cleanup.policy", "compact")]).await;
    produce(&mut peer, 9, to("t", 0, batch(&["a"]))).await;
    produce(&mut peer, 9, to("t", 0, batch(&["b"]))).await;
    produce(&mut peer, 9, to("t", 0, batch(&["c"]))).await;
    for (name, partition, offset, expected) in [
        ("t", 0, 1, (0, 1)),
        ("t", 0, 0, (0, 1)),
        ("t", 0, 4, (1, -1)),
        ("t", 0, -2, (1, -1)),
        ("t", 7, 0, (3, -1)),
        ("none", 0, 0, (3, -1)),
        ("c", 0, 0, (44, -1)),
        ("t", 0, -1, (0, 3)),
    ] {
        let partition = DeleteRecordsPartition::default()
            .with_partition_index(partition)
            .with_offset(offset);
        let topic = DeleteRecordsTopic::default()
            .with_name(text(name).into())
            .with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
        let answer = peer
            .ask(2, request)
            .await
            .topics
            .remove(0)
            .partitions
            .remove(0);
        let said = (answer.error_code, answer.low_watermark);
        assert_eq!(said, expected, "{name} {offset}");
    }
    assert_eq!(fetch(&mut peer, "t", 2).await.error_code, 1, "it is gone");
    assert_eq!(fetch(&mut peer, "t", 3).await.log_start_offset, 3);
}

//= CreateTopics.retention
#[tokio::test(start_paused = true)]
async fn the_oldest_records_go_when_a_topic_is_told_how_many_bytes_it_keeps() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    for value in ["a", "b"] {
        produce(&mut peer, 9, to("t", 0, batch(&[value]))).await;
    }
    assert_eq!(fetch(&mut peer, "t", 0).await.log_start_offset, 0);
    let one = batch(&["a"]).len().to_string();
    let keep = (0, Some(&*one));
    assert_eq!(edit(&mut peer, "t", "retention.bytes", keep).await, 0);
    produce(&mut peer, 9, to("t", 0, batch(&["c"]))).await;
    while fetch(&mut peer, "t", 2).await.log_start_offset != 2 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(fetch(&mut peer, "t", 1).await.error_code, 1, "it is gone");
}
