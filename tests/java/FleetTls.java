import com.google.gson.JsonObject;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Files in PEM that an order names (`ca`, and `cert` and `key` of who shows a certificate), as Java has them. */
final class FleetTls {
    private static final char[] NO_PASSWORD = {};

    private FleetTls() {}

    static TrustManagerFactory trusted(JsonObject files) throws GeneralSecurityException, IOException {
        KeyStore authorities = empty();
        authorities.setCertificateEntry("ca", certificate(Fleet.text(files, "ca")));
        var trusted = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trusted.init(authorities);
        return trusted;
    }

    /** Null for who shows no certificate. */
    static KeyManagerFactory own(JsonObject files) throws GeneralSecurityException, IOException {
        if (!files.has("cert")) return null;
        String pem = Files.readString(Path.of(Fleet.text(files, "key")));
        byte[] key = Base64.getMimeDecoder().decode(pem.replaceAll("-----.*-----", ""));
        KeyStore store = empty();
        Certificate[] chain = {certificate(Fleet.text(files, "cert"))};
        store.setKeyEntry("own", KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(key)), NO_PASSWORD, chain);
        var own = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        own.init(store, NO_PASSWORD);
        return own;
    }

    static SSLContext context(JsonObject files) throws GeneralSecurityException, IOException {
        KeyManagerFactory own = own(files);
        var context = SSLContext.getInstance("TLS");
        context.init(own == null ? null : own.getKeyManagers(), trusted(files).getTrustManagers(), null);
        return context;
    }

    private static KeyStore empty() throws GeneralSecurityException, IOException {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        return store;
    }

    private static Certificate certificate(String file) throws GeneralSecurityException, IOException {
        var pem = new ByteArrayInputStream(Files.readAllBytes(Path.of(file)));
        return CertificateFactory.getInstance("X.509").generateCertificate(pem);
    }
}
