import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Apache Kafka's own client, speaking the JSON lines that tests/clients/README.md describes. */
public final class Client {
    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "publish" -> publish(args[1]);
            case "consume" -> consume(args[1], args[2]);
            default -> throw new IllegalArgumentException("publish PORT | consume PORT TOPIC");
        }
    }

    private static void publish(String port) throws Exception {
        Properties config = new Properties();
        config.put("bootstrap.servers", "127.0.0.1:" + port);
        config.put("max.request.size", 4 << 20);
        config.put("linger.ms", 5);
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            say("ready", true);
            int id = 0;
            for (String line; (line = lines.readLine()) != null; id++) {
                int number = id;
                producer.send(record(JsonParser.parseString(line).getAsJsonObject()), (where, failure) -> {
                    if (failure == null) say("acked", number);
                    else say("failed", failure.toString());
                });
            }
        }
    }

    private static ProducerRecord<byte[], byte[]> record(JsonObject said) {
        Long timestamp = said.has("timestamp_ms") ? said.get("timestamp_ms").getAsLong() : null;
        var record = new ProducerRecord<>(said.get("to").getAsString(), null, timestamp, bytes(said.get("key")), bytes(said.get("body")));
        if (said.has("headers"))
            for (JsonElement pair : said.getAsJsonArray("headers")) {
                JsonArray header = pair.getAsJsonArray();
                record.headers().add(header.get(0).getAsString(), headerBytes(header.get(1)));
            }
        return record;
    }

    private static void consume(String port, String topic) {
        Properties config = new Properties();
        config.put("bootstrap.servers", "127.0.0.1:" + port);
        config.put("auto.offset.reset", "earliest");
        config.put("enable.auto.commit", false);
        try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                .map(known -> new TopicPartition(known.topic(), known.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            say("ready", true);
            while (true)
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) print(record);
        }
    }

    private static void print(ConsumerRecord<byte[], byte[]> record) {
        JsonObject heard = new JsonObject();
        heard.addProperty("to", record.topic());
        heard.addProperty("partition", record.partition());
        heard.addProperty("offset", record.offset());
        heard.addProperty("timestamp_ms", record.timestamp());
        heard.add("key", text(record.key()));
        heard.add("body", text(record.value()));
        JsonArray headers = new JsonArray();
        for (Header header : record.headers()) {
            JsonArray pair = new JsonArray();
            pair.add(header.key());
            pair.add(headerText(header.value()));
            headers.add(pair);
        }
        heard.add("headers", headers);
        emit(heard);
    }

    private static void say(String what, Object value) {
        JsonObject line = new JsonObject();
        if (value instanceof Number number) line.addProperty(what, number);
        else if (value instanceof Boolean truth) line.addProperty(what, truth);
        else line.addProperty(what, value.toString());
        emit(line);
    }

    private static synchronized void emit(JsonObject line) {
        OUT.println(line);
        OUT.flush();
    }

    private static byte[] bytes(JsonElement said) {
        return said == null || said.isJsonNull() ? null : Base64.getDecoder().decode(said.getAsString());
    }

    private static JsonElement text(byte[] bytes) {
        if (bytes == null) return JsonNull.INSTANCE;
        return new JsonPrimitive(Base64.getEncoder().encodeToString(bytes));
    }

    private static byte[] headerBytes(JsonElement said) {
        if (said.isJsonNull()) return null;
        if (said.isJsonObject()) return bytes(said.getAsJsonObject().get("b64"));
        return said.getAsString().getBytes(StandardCharsets.UTF_8);
    }

    /** Bytes that are text become text; other bytes are marked. */
    private static JsonElement headerText(byte[] bytes) {
        if (bytes == null) return JsonNull.INSTANCE;
        try {
            return new JsonPrimitive(StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString());
        } catch (CharacterCodingException notText) {
            JsonObject marked = new JsonObject();
            marked.add("b64", text(bytes));
            return marked;
        }
    }
}
