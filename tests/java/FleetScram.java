import com.hivemq.client.mqtt.datatypes.MqttUtf8String;
import com.hivemq.client.mqtt.mqtt5.Mqtt5ClientConfig;
import com.hivemq.client.mqtt.mqtt5.auth.Mqtt5EnhancedAuthMechanism;
import com.hivemq.client.mqtt.mqtt5.message.auth.Mqtt5Auth;
import com.hivemq.client.mqtt.mqtt5.message.auth.Mqtt5AuthBuilder;
import com.hivemq.client.mqtt.mqtt5.message.auth.Mqtt5EnhancedAuthBuilder;
import com.hivemq.client.mqtt.mqtt5.message.connect.Mqtt5Connect;
import com.hivemq.client.mqtt.mqtt5.message.connect.connack.Mqtt5ConnAck;
import com.hivemq.client.mqtt.mqtt5.message.disconnect.Mqtt5Disconnect;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.Base64;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import javax.crypto.Mac;
import javax.crypto.SecretKeyFactory;
import javax.crypto.spec.PBEKeySpec;
import javax.crypto.spec.SecretKeySpec;

/** SCRAM-SHA-256 (RFC 7677) for HiveMQ's client, which leaves mechanisms to its users. */
final class FleetScram implements Mqtt5EnhancedAuthMechanism {
    private static final String NO_CHANNEL = "n,,";

    private final String name;
    private final String password;
    private String clientFirst;
    private byte[] serverProof;

    FleetScram(String name, String password) {
        this.name = name;
        this.password = password;
    }

    @Override
    public MqttUtf8String getMethod() {
        return MqttUtf8String.of("SCRAM-SHA-256");
    }

    @Override
    public int getTimeout() {
        return 30;
    }

    @Override
    public CompletableFuture<Void> onAuth(Mqtt5ClientConfig config, Mqtt5Connect connect, Mqtt5EnhancedAuthBuilder answer) {
        answer.data(first());
        return CompletableFuture.completedFuture(null);
    }

    @Override
    public CompletableFuture<Void> onReAuth(Mqtt5ClientConfig config, Mqtt5AuthBuilder answer) {
        answer.data(first());
        return CompletableFuture.completedFuture(null);
    }

    private byte[] first() {
        clientFirst = "n=" + name + ",r=" + UUID.randomUUID();
        return (NO_CHANNEL + clientFirst).getBytes(StandardCharsets.UTF_8);
    }

    @Override
    public CompletableFuture<Boolean> onContinue(Mqtt5ClientConfig config, Mqtt5Auth auth, Mqtt5AuthBuilder answer) {
        try {
            answer.data(proof(text(auth.getData())));
            return CompletableFuture.completedFuture(true);
        } catch (GeneralSecurityException why) {
            return CompletableFuture.failedFuture(why);
        }
    }

    private byte[] proof(String serverFirst) throws GeneralSecurityException {
        String[] parts = serverFirst.split(",");
        byte[] salt = Base64.getDecoder().decode(parts[1].substring(2));
        int rounds = Integer.parseInt(parts[2].substring(2));
        String end = "c=" + base64(NO_CHANNEL.getBytes(StandardCharsets.UTF_8)) + "," + parts[0];
        String all = clientFirst + "," + serverFirst + "," + end;
        var salted = SecretKeyFactory.getInstance("PBKDF2WithHmacSHA256")
            .generateSecret(new PBEKeySpec(password.toCharArray(), salt, rounds, 256)).getEncoded();
        byte[] clientKey = hmac(salted, "Client Key");
        byte[] signature = hmac(MessageDigest.getInstance("SHA-256").digest(clientKey), all);
        for (int at = 0; at < clientKey.length; at++) clientKey[at] ^= signature[at];
        serverProof = hmac(hmac(salted, "Server Key"), all);
        return (end + ",p=" + base64(clientKey)).getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] hmac(byte[] key, String text) throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        return mac.doFinal(text.getBytes(StandardCharsets.UTF_8));
    }

    private static String base64(byte[] bytes) {
        return Base64.getEncoder().encodeToString(bytes);
    }

    private static String text(Optional<ByteBuffer> data) {
        return StandardCharsets.UTF_8.decode(data.orElseThrow()).toString();
    }

    /** The server shows that it knows the password too. */
    private CompletableFuture<Boolean> isServer(Optional<ByteBuffer> data) {
        String said = text(data);
        boolean proven = said.startsWith("v=") && Arrays.equals(Base64.getDecoder().decode(said.substring(2)), serverProof);
        return CompletableFuture.completedFuture(proven);
    }

    @Override
    public CompletableFuture<Boolean> onAuthSuccess(Mqtt5ClientConfig config, Mqtt5ConnAck answer) {
        return isServer(answer.getEnhancedAuth().orElseThrow().getData());
    }

    @Override
    public CompletableFuture<Boolean> onReAuthSuccess(Mqtt5ClientConfig config, Mqtt5Auth answer) {
        return isServer(answer.getData());
    }

    @Override
    public void onAuthRejected(Mqtt5ClientConfig config, Mqtt5ConnAck answer) {}

    @Override
    public void onReAuthRejected(Mqtt5ClientConfig config, Mqtt5Disconnect answer) {}

    @Override
    public void onAuthError(Mqtt5ClientConfig config, Throwable why) {}

    @Override
    public void onReAuthError(Mqtt5ClientConfig config, Throwable why) {}
}
