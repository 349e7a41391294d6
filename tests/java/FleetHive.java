import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.hivemq.client.mqtt.MqttClient;
import com.hivemq.client.mqtt.MqttGlobalPublishFilter;
import com.hivemq.client.mqtt.datatypes.MqttQos;
import com.hivemq.client.mqtt.mqtt5.Mqtt5AsyncClient;
import com.hivemq.client.mqtt.mqtt5.lifecycle.Mqtt5ClientConnectedContext;
import com.hivemq.client.mqtt.mqtt5.message.publish.Mqtt5Publish;
import com.hivemq.client.mqtt.mqtt5.message.subscribe.suback.Mqtt5SubAck;
import io.reactivex.Flowable;
import java.util.ArrayDeque;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.TimeUnit;

/** HiveMQ's client, asynchronous and reactive, as a device that takes orders. */
public final class FleetHive {
    private static int port;
    private static boolean isOverWebSocket;
    private static Mqtt5AsyncClient client;
    /** Messages that wait for an order to be acknowledged. */
    private static final Queue<Mqtt5Publish> UNACKNOWLEDGED = new ArrayDeque<>();

    public static void main(String[] args) throws Exception {
        port = Integer.parseInt(args[0]);
        isOverWebSocket = args.length > 1 && args[1].equals("ws");
        Fleet.obey(Map.of(
            "connect", FleetHive::connect,
            "subscribe", FleetHive::subscribe,
            "publish", FleetHive::publish,
            "stream", FleetHive::stream,
            "acknowledge", FleetHive::acknowledge,
            "prove", order -> client.reauth().whenComplete((done, why) -> tell("proven", why)),
            "disconnect", order -> client.disconnect()));
    }

    private static void connect(JsonObject order) throws Exception {
        var builder = MqttClient.builder().useMqttVersion5()
            .identifier(Fleet.text(order, "id"))
            .serverHost("127.0.0.1").serverPort(port)
            .automaticReconnect().initialDelay(100, TimeUnit.MILLISECONDS).maxDelay(1, TimeUnit.SECONDS).applyAutomaticReconnect()
            .addConnectedListener(context -> Fleet.say("connected", ((Mqtt5ClientConnectedContext) context).getConnAck().isSessionPresent()))
            .addDisconnectedListener(context -> {
                Fleet.say("lost", context.getCause().toString());
                // Who is refused is told so, and does not try for ever.
                if (order.has("scram")) context.getReconnector().reconnect(false);
            });
        if (isOverWebSocket) builder.webSocketWithDefaultConfig();
        if (order.has("tls")) {
            JsonObject files = order.getAsJsonObject("tls");
            builder.sslConfig().trustManagerFactory(FleetTls.trusted(files)).keyManagerFactory(FleetTls.own(files)).applySslConfig();
        }
        if (order.has("will")) {
            JsonObject will = order.getAsJsonObject("will");
            builder.willPublish(message(will).asWill());
        }
        client = builder.buildAsync();
        // All that arrives, also what waited for the session, from before the first packet.
        client.publishes(MqttGlobalPublishFilter.ALL, publish -> arrived(publish, Fleet.flag(order, "acknowledges", true)), true);
        var connect = client.connectWith()
            .cleanStart(Fleet.flag(order, "clean", true))
            .sessionExpiryInterval(Fleet.number(order, "expiry", 0))
            .restrictions().receiveMaximum(Fleet.number(order, "receive_max", 100)).applyRestrictions();
        if (order.has("scram")) {
            JsonObject login = order.getAsJsonObject("scram");
            connect.enhancedAuth(new FleetScram(Fleet.text(login, "name"), Fleet.text(login, "password")));
        }
        connect.send().whenComplete((connack, why) -> {
            if (why != null) Fleet.say("refused", why.toString());
        });
    }

    private static void arrived(Mqtt5Publish publish, boolean acknowledges) {
        if (acknowledges) publish.acknowledge();
        else synchronized (UNACKNOWLEDGED) { UNACKNOWLEDGED.add(publish); }
        Fleet.say("message", Fleet.message(publish.getTopic().toString(), publish.getPayloadAsBytes(), publish.getQos().getCode(), publish.isRetain()));
    }

    private static void acknowledge(JsonObject order) {
        synchronized (UNACKNOWLEDGED) {
            for (int left = Fleet.number(order, "count", 1); left > 0; left--) UNACKNOWLEDGED.remove().acknowledge();
        }
    }

    private static void subscribe(JsonObject order) {
        client.subscribeWith().topicFilter(Fleet.text(order, "filter")).qos(qos(order)).send().whenComplete(FleetHive::subscribed);
    }

    private static void subscribed(Mqtt5SubAck answer, Throwable why) {
        if (why != null) {
            tell("subscribed", why);
            return;
        }
        var codes = new JsonArray();
        answer.getReasonCodes().forEach(code -> codes.add(code.getCode()));
        Fleet.say("subscribed", codes);
    }

    private static void publish(JsonObject order) {
        client.publish(message(order)).whenComplete((result, why) -> {
            if (why != null) tell("published", why);
            else Fleet.say("published", Fleet.text(order, "body"));
        });
    }

    /** Publishes bodies 0 to count as one reactive stream, and says how many were acknowledged. */
    private static void stream(JsonObject order) {
        var messages = Flowable.range(0, Fleet.number(order, "count", 0)).map(number -> {
            JsonObject one = order.deepCopy();
            one.addProperty("body", number.toString());
            return message(one);
        });
        client.toRx().publish(messages)
            .filter(result -> result.getError().isEmpty())
            .count()
            .subscribe(count -> Fleet.say("streamed", count.toString()), why -> tell("streamed", why));
    }

    private static Mqtt5Publish message(JsonObject order) {
        return Mqtt5Publish.builder().topic(Fleet.text(order, "to")).payload(Fleet.body(order))
            .qos(qos(order)).retain(Fleet.flag(order, "retain", false)).build();
    }

    private static MqttQos qos(JsonObject order) {
        return MqttQos.fromCode(Fleet.number(order, "qos", 0));
    }

    private static void tell(String event, Throwable why) {
        if (why == null) Fleet.say(event, true);
        else Fleet.say("failed", why.toString());
    }
}
