import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** Orders in and events out, as tests/clients/README.md describes them. */
final class Fleet {
    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    interface Order {
        void execute(JsonObject order) throws Exception;
    }

    private Fleet() {}

    /** Executes what stdin orders until it ends. */
    static void obey(Map<String, Order> orders) throws Exception {
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = lines.readLine()) != null; ) {
            JsonObject order = JsonParser.parseString(line).getAsJsonObject();
            orders.get(order.get("do").getAsString()).execute(order);
        }
        System.exit(0);
    }

    static void say(String event, JsonElement value) {
        JsonObject line = new JsonObject();
        line.add(event, value);
        print(line);
    }

    static void say(String event, boolean value) {
        JsonObject line = new JsonObject();
        line.addProperty(event, value);
        print(line);
    }

    static void say(String event, String value) {
        JsonObject line = new JsonObject();
        line.addProperty(event, value);
        print(line);
    }

    private static synchronized void print(JsonObject line) {
        OUT.println(line);
        OUT.flush();
    }

    static String text(JsonObject order, String field) {
        return order.get(field).getAsString();
    }

    static int number(JsonObject order, String field, int otherwise) {
        return order.has(field) ? order.get(field).getAsInt() : otherwise;
    }

    static boolean flag(JsonObject order, String field, boolean otherwise) {
        return order.has(field) ? order.get(field).getAsBoolean() : otherwise;
    }

    static byte[] body(JsonObject order) {
        return text(order, "body").getBytes(StandardCharsets.UTF_8);
    }

    /** What every client tells of a message. */
    static JsonObject message(String topic, byte[] body, int qos, boolean retain) {
        JsonObject message = new JsonObject();
        message.addProperty("to", topic);
        message.addProperty("body", new String(body, StandardCharsets.UTF_8));
        message.addProperty("qos", qos);
        message.addProperty("retain", retain);
        return message;
    }
}
