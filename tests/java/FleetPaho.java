import com.google.gson.JsonArray;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import java.util.ArrayDeque;
import java.util.Map;
import java.util.Queue;
import java.util.logging.LogManager;
import org.eclipse.paho.mqttv5.client.DisconnectedBufferOptions;
import org.eclipse.paho.mqttv5.client.IMqttToken;
import org.eclipse.paho.mqttv5.client.MqttActionListener;
import org.eclipse.paho.mqttv5.client.MqttAsyncClient;
import org.eclipse.paho.mqttv5.client.MqttCallback;
import org.eclipse.paho.mqttv5.client.MqttConnectionOptions;
import org.eclipse.paho.mqttv5.client.MqttDisconnectResponse;
import org.eclipse.paho.mqttv5.client.persist.MemoryPersistence;
import org.eclipse.paho.mqttv5.client.persist.MqttDefaultFilePersistence;
import org.eclipse.paho.mqttv5.common.MqttException;
import org.eclipse.paho.mqttv5.common.MqttMessage;
import org.eclipse.paho.mqttv5.common.packet.MqttProperties;

/** Eclipse Paho's client of MQTT 5, as a device that takes orders. */
public final class FleetPaho {
    private static String address;
    private static MqttAsyncClient client;
    /** Messages that wait for an order to be acknowledged. */
    private static final Queue<MqttMessage> UNACKNOWLEDGED = new ArrayDeque<>();

    public static void main(String[] args) throws Exception {
        // It logs each packet to stderr otherwise.
        LogManager.getLogManager().reset();
        address = "://127.0.0.1:" + args[0];
        Fleet.obey(Map.of(
            "connect", FleetPaho::connect,
            "subscribe", order -> client.subscribe(Fleet.text(order, "filter"), Fleet.number(order, "qos", 0), null, new Subscribed()),
            "publish", FleetPaho::publish,
            "acknowledge", FleetPaho::acknowledge,
            "disconnect", order -> client.disconnect(null, new Left())));
    }

    private static void connect(JsonObject order) throws Exception {
        // Messages that are not acknowledged are kept in the directory that the order names.
        var kept = order.has("directory") ? new MqttDefaultFilePersistence(Fleet.text(order, "directory")) : new MemoryPersistence();
        client = new MqttAsyncClient((order.has("tls") ? "ssl" : "tcp") + address, Fleet.text(order, "id"), kept);
        client.setManualAcks(!Fleet.flag(order, "acknowledges", true));
        client.setCallback(new Ears(Fleet.flag(order, "acknowledges", true)));
        var buffer = new DisconnectedBufferOptions();
        buffer.setBufferEnabled(true);
        buffer.setPersistBuffer(true);
        client.setBufferOpts(buffer);
        var options = new MqttConnectionOptions();
        options.setCleanStart(Fleet.flag(order, "clean", true));
        options.setSessionExpiryInterval((long) Fleet.number(order, "expiry", 0));
        options.setAutomaticReconnect(true);
        options.setAutomaticReconnectDelay(1, 1);
        if (order.has("tls")) options.setSocketFactory(FleetTls.context(order.getAsJsonObject("tls")).getSocketFactory());
        if (order.has("will")) {
            JsonObject will = order.getAsJsonObject("will");
            options.setWill(Fleet.text(will, "to"), message(will));
        }
        client.connect(options, null, new Acted() {
            @Override
            public void onSuccess(IMqttToken token) {
                Fleet.say("connected", token.getSessionPresent());
            }

            @Override
            public void onFailure(IMqttToken token, Throwable why) {
                Fleet.say("refused", String.valueOf(why));
            }
        });
    }

    private static MqttMessage message(JsonObject order) {
        return new MqttMessage(Fleet.body(order), Fleet.number(order, "qos", 0), Fleet.flag(order, "retain", false), new MqttProperties());
    }

    private static void publish(JsonObject order) throws MqttException {
        client.publish(Fleet.text(order, "to"), message(order), null, new Acted() {
            @Override
            public void onSuccess(IMqttToken token) {
                Fleet.say("published", Fleet.text(order, "body"));
            }
        });
        Fleet.say("taken", true);
    }

    private static void acknowledge(JsonObject order) throws MqttException {
        synchronized (UNACKNOWLEDGED) {
            for (int left = Fleet.number(order, "count", 1); left > 0; left--) {
                MqttMessage message = UNACKNOWLEDGED.remove();
                client.messageArrivedComplete(message.getId(), message.getQos());
            }
        }
    }

    private abstract static class Acted implements MqttActionListener {
        @Override
        public void onFailure(IMqttToken token, Throwable why) {
            Fleet.say("failed", String.valueOf(why));
        }
    }

    private static final class Left extends Acted {
        @Override
        public void onSuccess(IMqttToken token) {
            Fleet.say("lost", true);
        }
    }

    private static final class Subscribed extends Acted {
        @Override
        public void onSuccess(IMqttToken token) {
            var codes = new JsonArray();
            for (int code : token.getReasonCodes()) codes.add(code);
            Fleet.say("subscribed", codes);
        }
    }

    private record Ears(boolean acknowledges) implements MqttCallback {
        @Override
        public void messageArrived(String topic, MqttMessage message) {
            if (!acknowledges) synchronized (UNACKNOWLEDGED) { UNACKNOWLEDGED.add(message); }
            Fleet.say("message", Fleet.message(topic, message.getPayload(), message.getQos(), message.isRetained()));
        }

        @Override
        public void disconnected(MqttDisconnectResponse why) {
            Fleet.say("lost", true);
        }

        @Override
        public void connectComplete(boolean again, String server) {
            // The first time the order's own listener says it, and knows whether there was a session.
            if (again) Fleet.say("connected", JsonNull.INSTANCE);
        }

        @Override
        public void mqttErrorOccurred(MqttException error) {
            Fleet.say("error", error.toString());
        }

        @Override
        public void deliveryComplete(IMqttToken token) {
            Fleet.say("delivered", true);
        }

        @Override
        public void authPacketArrived(int code, MqttProperties properties) {}
    }
}
