"""paho-mqtt as a publisher or a consumer."""

import argparse

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from lines import fail, login, pack, present, records, say, unpack

arguments = argparse.ArgumentParser()
arguments.add_argument("verb", choices=["publish", "consume"])
arguments.add_argument("port", type=int)
arguments.add_argument("filter", nargs="?")
arguments.add_argument("--level", type=int, default=5)
arguments.add_argument("--qos", type=int, default=1)
arguments.add_argument("--session", default="")
arguments.add_argument("--hold", action="store_true", help="acknowledges nothing")
arguments.add_argument("--login")
asked = arguments.parse_args()
v5 = asked.level == 5


def connect(on_connect):
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2,
        client_id=asked.session,
        protocol=mqtt.MQTTv5 if v5 else mqtt.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=asked.hold,
        **({} if v5 else {"clean_session": not asked.session}),
    )
    if asked.login:
        client.username_pw_set(*login(asked.login))
    client.on_connect = on_connect
    client.on_disconnect = lambda _client, _data, _flags, reason, _props: reason == 0 or fail(reason)
    client.on_subscribe = lambda *_: say(ready=True)
    client.max_inflight_messages_set(200)
    properties = None
    if v5 and asked.session:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
    more = {"clean_start": not asked.session, "properties": properties} if v5 else {}
    client.connect("127.0.0.1", asked.port, keepalive=60, **more)
    return client


def sent_properties(record):
    properties = Properties(PacketTypes.PUBLISH)
    names = {
        "content_type": "ContentType",
        "reply_to": "ResponseTopic",
        "format": "PayloadFormatIndicator",
    }
    for name, native in names.items():
        if name in record:
            setattr(properties, native, record[name])
    if "correlation" in record:
        properties.CorrelationData = unpack(record["correlation"])
    if "expiry_ms" in record:
        properties.MessageExpiryInterval = record["expiry_ms"] // 1000
    if record.get("headers"):
        properties.UserProperty = [tuple(pair) for pair in record["headers"]]
    return properties


def publish():
    client = connect(lambda _client, _data, _flags, reason, _props: fail(reason) if reason.is_failure else say(ready=True))
    numbers = {}
    # `publish` may be acknowledged before it has returned the packet's id.
    early = set()

    def acknowledged(_client, _data, mid, _reason, _props):
        if mid in numbers:
            say(acked=numbers.pop(mid))
        else:
            early.add(mid)

    client.on_publish = acknowledged
    client.loop_start()
    last = None
    for number, record in enumerate(records()):
        last = client.publish(
            record["to"],
            unpack(record.get("body")) or b"",
            qos=asked.qos,
            retain=bool(record.get("retain")),
            properties=sent_properties(record) if v5 else None,
        )
        numbers[last.mid] = number
        if last.mid in early:
            early.discard(last.mid)
            say(acked=numbers.pop(last.mid))
        if asked.qos == 0 or number % 100 == 99:
            last.wait_for_publish()
    if last is not None:
        last.wait_for_publish()
    client.disconnect()
    client.loop_stop()


def received_fields(properties):
    user = getattr(properties, "UserProperty", None)
    expiry = getattr(properties, "MessageExpiryInterval", None)
    return present(
        content_type=getattr(properties, "ContentType", None),
        reply_to=getattr(properties, "ResponseTopic", None),
        format=getattr(properties, "PayloadFormatIndicator", None),
        correlation=pack(getattr(properties, "CorrelationData", None)),
        expiry_ms=None if expiry is None else expiry * 1000,
        headers=None if user is None else [list(pair) for pair in user],
    )


def consume():
    def connected(client, _data, _flags, reason, _props):
        if reason.is_failure:
            fail(reason)
        client.subscribe(asked.filter, qos=asked.qos)

    client = connect(connected)

    def arrived(_client, _data, message):
        fields = received_fields(message.properties) if v5 else {}
        say(to=message.topic, body=pack(message.payload), qos=message.qos, retain=int(message.retain), **fields)

    client.on_message = arrived
    client.loop_forever()


{"publish": publish, "consume": consume}[asked.verb]()
