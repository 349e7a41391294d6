import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Acts out scenarios against a broker and says what came of each, a line per scenario. What apache/kafka did stands in
 * outcomes.txt; README.md says how to record it again.
 */
public final class Outcomes {
    private static final String ALL = "read_uncommitted";
    private static final String COMMITTED = "read_committed";

    private static String port;
    private static Admin admin;

    private interface Scenario {
        Object act() throws Exception;
    }

    public static void main(String[] args) {
        port = args[0];
        Properties config = base();
        config.put("default.api.timeout.ms", 20_000);
        config.put("request.timeout.ms", 10_000);
        admin = Admin.create(config);
        topics();
        settings();
        produces();
        offsets();
        transactions();
        fencing();
        positions();
        groups();
        // The client's threads are not waited for.
        Runtime.getRuntime().halt(0);
    }

    private static void topics() {
        say("a topic is made", () -> create("made", 3, "retention.ms", "60000", "cleanup.policy", "compact,delete"));
        say("a topic is made twice", () -> create("made", 1));
        say("an unknown setting", () -> create("bad", 1, "no.such", "1"));
        say("a value of the wrong type", () -> create("bad", 1, "retention.ms", "x"));
        say("an unknown policy", () -> create("bad", 1, "cleanup.policy", "archive"));
        say("a bad name", () -> create("b/ad", 1));
        say("no partitions", () -> create("bad", 0));
        say("too many replicas", () -> admin.createTopics(List.of(new NewTopic("bad", 1, (short) 3))).all().get());
        say("partitions are added", () -> grow("made", 5));
        say("partitions are taken away", () -> grow("made", 2));
        say("partitions of no topic", () -> grow("none", 2));
        say("a topic is described", () -> describe("made"));
        say("no topic is described", () -> describe("none"));
        say("nodes", () -> admin.describeCluster().nodes().get().size());
        say("log directories", () -> admin.describeLogDirs(List.of(1)).allDescriptions().get().get(1).size());
        say("grants", () -> admin.describeAcls(AclBindingFilter.ANY).values().get());
        say("a topic is removed", () -> admin.deleteTopics(List.of("made")).all().get());
        say("no topic is removed", () -> admin.deleteTopics(List.of("none")).all().get());
    }

    private static void settings() {
        say("a topic with settings", () -> create("set", 1, "retention.ms", "60000"));
        say("a setting that was set", () -> setting("set", "retention.ms"));
        say("a setting with its default", () -> setting("set", "min.compaction.lag.ms"));
        say("one is set", () -> alter("set", OpType.SET, "retention.ms", "1000"));
        say("and shown", () -> setting("set", "retention.ms"));
        say("one is reset", () -> alter("set", OpType.DELETE, "retention.ms", ""));
        say("a word is added to a list", () -> alter("set", OpType.APPEND, "cleanup.policy", "compact"));
        say("and shown", () -> setting("set", "cleanup.policy"));
        say("a word is taken from it", () -> alter("set", OpType.SUBTRACT, "cleanup.policy", "delete"));
        say("and shown", () -> setting("set", "cleanup.policy"));
        say("a word is added to a number", () -> alter("set", OpType.APPEND, "retention.ms", "1"));
        say("an unknown one is set", () -> alter("set", OpType.SET, "no.such", "1"));
        say("one is set to an impossible value", () -> alter("set", OpType.SET, "max.message.bytes", "-1"));
        say("one is set for no topic", () -> alter("none", OpType.SET, "retention.ms", "1"));
        say("those of no topic", () -> setting("none", "retention.ms"));
    }

    private static void produces() {
        say("a topic for short batches", () -> create("short", 1, "max.message.bytes", "1000"));
        say("a long record", () -> send("short", "k", "x".repeat(2_000)));
        say("a compacted topic", () -> create("compacted", 1, "cleanup.policy", "compact"));
        say("a record without a key", () -> send("compacted", null, "v"));
        say("a record with a key", () -> send("compacted", "k", "v"));
        say("a topic of arrival times", () -> create("arrivals", 1, "message.timestamp.type", "LogAppendTime"));
        say("its time", () -> {
            long before = System.currentTimeMillis();
            try (var producer = producer(null)) {
                var kept = producer.send(new ProducerRecord<>("arrivals", 0, 5L, "k", "v")).get();
                return kept.timestamp() >= before;
            }
        });
        for (String acks : List.of("0", "1", "all")) {
            say("acks=" + acks, () -> {
                try (var producer = producer(null, "acks", acks, "enable.idempotence", acks.equals("all"))) {
                    return producer.send(new ProducerRecord<>("arrivals", "k", acks)).get().offset();
                }
            });
        }
        say("all of it", () -> read("arrivals", ALL));
    }

    private static void offsets() {
        say("a topic of five times", () -> {
            create("times", 1);
            for (long time : new long[] {100, 300, 200, 300, 150}) {
                try (var producer = producer(null)) {
                    producer.send(new ProducerRecord<>("times", 0, time, "k", "t" + time)).get();
                }
            }
            return "ok";
        });
        for (var isolation : IsolationLevel.values()) {
            say("latest, " + isolation, () -> offset("times", OffsetSpec.latest(), isolation));
            say("earliest, " + isolation, () -> offset("times", OffsetSpec.earliest(), isolation));
            say("largest time, " + isolation, () -> offset("times", OffsetSpec.maxTimestamp(), isolation));
        }
        var all = IsolationLevel.READ_UNCOMMITTED;
        say("earliest here", () -> offset("times", OffsetSpec.earliestLocal(), all));
        say("latest elsewhere", () -> offset("times", OffsetSpec.latestTiered(), all));
        for (long time : new long[] {0, 100, 101, 250, 300, 301}) {
            say("at " + time, () -> offset("times", OffsetSpec.forTimestamp(time), all));
        }
        say("largest time of nothing", () -> {
            create("empty", 1);
            return offset("empty", OffsetSpec.maxTimestamp(), all);
        });
        say("records below 2 are deleted", () -> forget("times", 2));
        say("records below 9 are deleted", () -> forget("times", 9));
        say("earliest", () -> offset("times", OffsetSpec.earliest(), all));
        say("what is left", () -> read("times", ALL));
        say("all records are deleted", () -> forget("times", -1));
        say("earliest", () -> offset("times", OffsetSpec.earliest(), all));
    }

    private static void transactions() {
        say("two commits and an abort", () -> {
            create("txn", 1);
            try (var producer = producer("one")) {
                producer.initTransactions();
                for (String value : List.of("a", "b", "c")) {
                    producer.beginTransaction();
                    producer.send(new ProducerRecord<>("txn", value, "1")).get();
                    producer.send(new ProducerRecord<>("txn", value, "2"));
                    producer.flush();
                    if (value.equals("b")) producer.abortTransaction();
                    else producer.commitTransaction();
                }
            }
            return "ok";
        });
        say("committed records", () -> read("txn", COMMITTED));
        say("all that a reader is shown", () -> read("txn", ALL));
        say("transactions without records", () -> {
            try (var producer = producer("one")) {
                producer.initTransactions();
                producer.beginTransaction();
                producer.commitTransaction();
                producer.beginTransaction();
                producer.abortTransaction();
            }
            return "ok";
        });
        say("an open transaction", () -> {
            try (var producer = producer("open")) {
                producer.initTransactions();
                producer.beginTransaction();
                producer.send(new ProducerRecord<>("txn", "d", "1")).get();
                var description = admin.describeTransactions(List.of("open")).description("open").get();
                String said = description.state() + " " + description.topicPartitions();
                for (var isolation : IsolationLevel.values()) {
                    said += " " + offset("txn", OffsetSpec.latest(), isolation);
                }
                producer.abortTransaction();
                return said;
            }
        });
        say("a transaction of nobody", () -> admin.describeTransactions(List.of("nobody")).description("nobody").get());
    }

    private static void fencing() {
        say("a second producer fences the first at its next record", () -> {
            try (var first = producer("two"); var second = producer("two")) {
                first.initTransactions();
                first.beginTransaction();
                first.send(new ProducerRecord<>("txn", "e", "1")).get();
                second.initTransactions();
                second.beginTransaction();
                second.send(new ProducerRecord<>("txn", "f", "1")).get();
                String said = outcome(() -> first.send(new ProducerRecord<>("txn", "e", "2")).get());
                said += " " + outcome(() -> ended(first));
                second.commitTransaction();
                first.close(Duration.ZERO);
                return said;
            }
        });
        say("and at its commit", () -> {
            try (var first = producer("two"); var second = producer("two")) {
                first.initTransactions();
                first.beginTransaction();
                first.send(new ProducerRecord<>("txn", "g", "1")).get();
                second.initTransactions();
                String said = outcome(() -> ended(first));
                first.close(Duration.ZERO);
                return said;
            }
        });
        say("committed records", () -> read("txn", COMMITTED));
        say("a transaction that is open for too long", () -> {
            try (var producer = producer("slow", "transaction.timeout.ms", 1_000)) {
                producer.initTransactions();
                producer.beginTransaction();
                producer.send(new ProducerRecord<>("txn", "h", "1")).get();
                var end = IsolationLevel.READ_COMMITTED;
                String before = offset("txn", OffsetSpec.latest(), end);
                while (offset("txn", OffsetSpec.latest(), end).equals(before)) Thread.sleep(100);
                String said = outcome(() -> producer.send(new ProducerRecord<>("txn", "h", "2")).get());
                return said + " " + outcome(() -> ended(producer));
            }
        });
        say("a timeout that is too long", () -> {
            try (var producer = producer("slow", "transaction.timeout.ms", 900_001)) {
                producer.initTransactions();
                return "ok";
            }
        });
        say("an operator fences", () -> admin.fenceProducers(List.of("two")).all().get());
    }

    private static void positions() {
        say("a copy, given up once", () -> {
            create("from", 1);
            create("to", 1);
            for (int i = 0; i < 5; i++) send("from", "k" + i, "v" + i);
            var partition = new TopicPartition("from", 0);
            try (var consumer = consumer(COMMITTED, "copy"); var producer = producer("copy")) {
                producer.initTransactions();
                consumer.subscribe(List.of("from"));
                String given = "";
                while (true) {
                    var records = consumer.poll(Duration.ofMillis(500));
                    if (records.count() < 5) {
                        if (!records.isEmpty()) consumer.seek(partition, 0);
                        continue;
                    }
                    producer.beginTransaction();
                    for (var record : records) {
                        producer.send(new ProducerRecord<>("to", record.key(), record.value()));
                    }
                    var position = Map.of(partition, new OffsetAndMetadata(5));
                    producer.sendOffsetsToTransaction(position, consumer.groupMetadata());
                    // An abort drops what was not sent yet; with this it is all there to be given up.
                    producer.flush();
                    if (given.isEmpty()) {
                        producer.abortTransaction();
                        given = "given up at " + consumer.committed(Set.of(partition)).get(partition);
                        consumer.seek(partition, 0);
                        continue;
                    }
                    producer.commitTransaction();
                    return given + ", done at " + consumer.committed(Set.of(partition)).get(partition).offset();
                }
            }
        });
        say("the copy", () -> read("to", COMMITTED));
        say("positions by a stranger", () -> commit(new ConsumerGroupMetadata("copy", 77, "nobody", Optional.empty())));
        say("positions without members", () -> {
            commit(new ConsumerGroupMetadata("alone"));
            return admin.listConsumerGroupOffsets("alone").partitionsToOffsetAndMetadata().get().keySet();
        });
        say("positions are deleted", () -> {
            admin.deleteConsumerGroupOffsets("alone", Set.of(new TopicPartition("from", 0))).all().get();
            return admin.listConsumerGroupOffsets("alone").partitionsToOffsetAndMetadata().get().keySet();
        });
    }

    private static void groups() {
        say("a group with a member", () -> {
            create("grouped", 2);
            var partition = new TopicPartition("grouped", 0);
            try (var consumer = consumer(ALL, "group")) {
                consumer.subscribe(List.of("grouped"));
                while (consumer.assignment().isEmpty()) consumer.poll(Duration.ofMillis(300));
                consumer.commitSync(Map.of(partition, new OffsetAndMetadata(0)));
                var group = admin.describeConsumerGroups(List.of("group")).all().get().get("group");
                String said = group.groupState() + " " + group.members().size() + " " + group.partitionAssignor();
                said += " " + outcome(() -> admin.deleteConsumerGroups(List.of("group")).all().get());
                return said + " " + outcome(() -> admin.deleteConsumerGroupOffsets("group", Set.of(partition)).all().get());
            }
        });
        say("a group without members is deleted", () -> admin.deleteConsumerGroups(List.of("group")).all().get());
        say("no group is deleted", () -> admin.deleteConsumerGroups(List.of("group")).all().get());
    }

    private static void say(String scenario, Scenario what) {
        System.out.println(scenario + ": " + outcome(what));
    }

    /** What came of it: a value, or the kind of failure. */
    private static String outcome(Scenario what) {
        try {
            Object value = what.act();
            return value == null ? "ok" : value.toString();
        } catch (ExecutionException failure) {
            return failure.getCause().getClass().getSimpleName();
        } catch (Exception failure) {
            return failure.getClass().getSimpleName();
        }
    }

    private static Object ended(KafkaProducer<String, String> producer) {
        producer.commitTransaction();
        return "committed";
    }

    private static Object create(String name, int partitions, String... settings) throws Exception {
        Map<String, String> configs = new HashMap<>();
        for (int i = 0; i < settings.length; i += 2) configs.put(settings[i], settings[i + 1]);
        var made = admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(configs)));
        return made.numPartitions(name).get() + " partitions";
    }

    private static Object grow(String name, int partitions) throws Exception {
        return admin.createPartitions(Map.of(name, NewPartitions.increaseTo(partitions))).all().get();
    }

    private static Object describe(String name) throws Exception {
        return admin.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions().size() + " partitions";
    }

    private static String setting(String topic, String name) throws Exception {
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        ConfigEntry entry = admin.describeConfigs(List.of(resource)).all().get().get(resource).get(name);
        return entry.value() + " " + entry.source() + " " + entry.type();
    }

    private static Object alter(String topic, OpType how, String name, String value) throws Exception {
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        var change = new AlterConfigOp(new ConfigEntry(name, value), how);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
        // Apache Kafka's brokers learn of it a moment after the answer.
        Thread.sleep(200);
        return "ok";
    }

    private static Object send(String topic, String key, String value) throws Exception {
        try (var producer = producer(null)) {
            return "at " + producer.send(new ProducerRecord<>(topic, key, value)).get().offset();
        }
    }

    private static Object commit(ConsumerGroupMetadata group) {
        try (var producer = producer("positions")) {
            producer.initTransactions();
            producer.beginTransaction();
            producer.sendOffsetsToTransaction(Map.of(new TopicPartition("from", 0), new OffsetAndMetadata(1)), group);
            return ended(producer);
        }
    }

    private static String offset(String topic, OffsetSpec where, IsolationLevel isolation) throws Exception {
        var partition = new TopicPartition(topic, 0);
        var options = new ListOffsetsOptions(isolation);
        var found = admin.listOffsets(Map.of(partition, where), options).all().get().get(partition);
        return found.offset() + " of time " + found.timestamp();
    }

    private static Object forget(String topic, long below) throws Exception {
        var partition = new TopicPartition(topic, 0);
        var deleted = admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(below)));
        return "begins at " + deleted.lowWatermarks().get(partition).get().lowWatermark();
    }

    /** Everything in a topic that a reader is shown, and the position after it. */
    private static Object read(String topic, String isolation) throws Exception {
        var partition = new TopicPartition(topic, 0);
        var level = isolation.equals(ALL) ? IsolationLevel.READ_UNCOMMITTED : IsolationLevel.READ_COMMITTED;
        var ends = admin.listOffsets(Map.of(partition, OffsetSpec.latest()), new ListOffsetsOptions(level));
        long end = ends.all().get().get(partition).offset();
        try (var consumer = consumer(isolation, null)) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            List<String> seen = new ArrayList<>();
            while (consumer.position(partition) < end) {
                for (var record : consumer.poll(Duration.ofMillis(200))) {
                    seen.add(record.offset() + ":" + record.key() + "=" + record.value());
                }
            }
            return seen + " to " + consumer.position(partition);
        }
    }

    private static KafkaProducer<String, String> producer(String id, Object... settings) {
        Properties config = base();
        config.put("linger.ms", 0);
        config.put("max.block.ms", 15_000);
        if (id != null) config.put("transactional.id", id);
        for (int i = 0; i < settings.length; i += 2) config.put((String) settings[i], settings[i + 1]);
        return new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
    }

    private static KafkaConsumer<String, String> consumer(String isolation, String group) {
        Properties config = base();
        config.put("isolation.level", isolation);
        config.put("auto.offset.reset", "earliest");
        config.put("enable.auto.commit", false);
        if (group != null) config.put("group.id", group);
        return new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    }

    private static Properties base() {
        Properties config = new Properties();
        config.put("bootstrap.servers", "127.0.0.1:" + port);
        return config;
    }
}
