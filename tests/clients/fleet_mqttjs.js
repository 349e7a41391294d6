// MQTT.js, as a device that takes orders. It gives topics aliases by itself as far as the server allows.

const fs = require("node:fs");
const readline = require("node:readline");
const mqtt = require("mqtt");

const [port, scheme = "mqtt"] = process.argv.slice(2);
let client;

function say(line) {
  process.stdout.write(JSON.stringify(line) + "\n");
}

function present(fields) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function lastWill({ to, body, qos, retain, delay = 0 }) {
  return { topic: to, payload: body, qos, retain, properties: { willDelayInterval: delay } };
}

function arrived(topic, payload, packet) {
  const properties = packet.properties ?? {};
  say({
    message: present({
      to: topic,
      body: payload.toString(),
      qos: packet.qos,
      retain: packet.retain,
      content_type: properties.contentType,
      reply_to: properties.responseTopic,
      correlation: properties.correlationData?.toString(),
      headers: properties.userProperties && { ...properties.userProperties },
    }),
  });
}

const orders = {
  connect({ id, clean = true, expiry = 0, will, level = 5, aliases, tls = {} }) {
    const secured = Object.fromEntries(Object.entries(tls).map(([what, file]) => [what, fs.readFileSync(file)]));
    client = mqtt.connect(`${scheme}://127.0.0.1:${port}`, {
      ...secured,
      clientId: id,
      clean,
      protocolVersion: level,
      reconnectPeriod: 100,
      autoUseTopicAlias: Boolean(aliases),
      autoAssignTopicAlias: Boolean(aliases),
      properties: { sessionExpiryInterval: expiry, topicAliasMaximum: aliases ?? 0 },
      will: will && lastWill(will),
    });
    client.on("connect", (packet) => say({ connected: packet.sessionPresent }));
    client.on("close", () => say({ lost: true }));
    client.on("error", (error) => say({ error: String(error) }));
    client.on("message", arrived);
    client.on("packetsend", (packet) => {
      if (packet.cmd === "publish") say({ sent: { topic: packet.topic, alias: packet.properties?.topicAlias ?? null } });
    });
    client.on("packetreceive", (packet) => {
      if (packet.cmd === "publish") say({ received: { topic: packet.topic, alias: packet.properties?.topicAlias ?? null } });
    });
  },

  subscribe({ filter, qos }) {
    client.subscribe(filter, { qos }, (error, granted) => {
      say(error ? { failed: String(error) } : { subscribed: granted.map((one) => one.qos) });
    });
  },

  publish({ to, body, qos, retain = false, content_type, reply_to, correlation, headers }) {
    const properties = present({
      contentType: content_type,
      responseTopic: reply_to,
      correlationData: correlation === undefined ? undefined : Buffer.from(correlation),
      userProperties: headers,
    });
    client.publish(to, body, { qos, retain, properties }, (error) => {
      say(error ? { failed: String(error) } : { published: body });
    });
  },

  disconnect() {
    client.end(false, () => say({ ended: true }));
  },
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const order = JSON.parse(line);
  orders[order.do](order);
});
