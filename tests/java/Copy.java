import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Copies one topic to another, exactly once: records and positions in transactions, every third of which is given up
 * and done again. Says a line per commit; ends when the whole topic is copied, or with the first failure.
 */
public final class Copy {
    private static final int RECORDS_PER_TRANSACTION = 20;
    private static final Duration PATIENCE = Duration.ofMillis(500);

    public static void main(String[] args) throws Exception {
        String from = args[1], to = args[2];
        long count = Long.parseLong(args[3]);
        try (var consumer = consumer(args[0]); var producer = producer(args[0])) {
            producer.initTransactions();
            consumer.subscribe(List.of(from));
            int turn = 0;
            for (long position = 0; position < count; ) {
                var records = consumer.poll(PATIENCE);
                if (records.isEmpty()) {
                    if (consumer.assignment().isEmpty()) continue;
                    position = consumer.position(new TopicPartition(from, 0));
                    continue;
                }
                producer.beginTransaction();
                Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
                for (ConsumerRecord<String, String> record : records) {
                    producer.send(new ProducerRecord<>(to, record.key(), record.value()));
                    var partition = new TopicPartition(record.topic(), record.partition());
                    positions.put(partition, new OffsetAndMetadata(record.offset() + 1));
                }
                producer.sendOffsetsToTransaction(positions, consumer.groupMetadata());
                if (++turn % 3 == 0) {
                    producer.flush();
                    producer.abortTransaction();
                    var first = records.iterator().next();
                    consumer.seek(new TopicPartition(first.topic(), first.partition()), first.offset());
                    continue;
                }
                producer.commitTransaction();
                position = positions.values().iterator().next().offset();
                System.out.println("committed " + position);
            }
            System.out.println("done");
        } catch (Exception failure) {
            System.out.println("failed " + failure);
        }
        // The client's threads would go on looking for a server that is gone.
        Runtime.getRuntime().halt(0);
    }

    private static KafkaConsumer<String, String> consumer(String port) {
        Properties config = base(port);
        config.put("group.id", "copy");
        config.put("isolation.level", "read_committed");
        config.put("auto.offset.reset", "earliest");
        config.put("enable.auto.commit", false);
        config.put("max.poll.records", RECORDS_PER_TRANSACTION);
        config.put("session.timeout.ms", 6_000);
        return new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    }

    private static KafkaProducer<String, String> producer(String port) {
        Properties config = base(port);
        config.put("transactional.id", "copy");
        config.put("max.block.ms", 10_000);
        return new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
    }

    private static Properties base(String port) {
        Properties config = new Properties();
        config.put("bootstrap.servers", "127.0.0.1:" + port);
        config.put("request.timeout.ms", 5_000);
        config.put("default.api.timeout.ms", 10_000);
        return config;
    }
}
