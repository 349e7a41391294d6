"""What clients are told by a node whose disk is nearly full.

    full.py prepare|try MQTT_PORT KAFKA_PORT AMQP_PORT

`prepare` leaves a record and a message behind while there is room. `try` prints one JSON line per protocol:
{"protocol": NAME, "told": what a publisher is told, "read": what is still read}.
"""

import sys
import time

import paho.mqtt.client as mqtt
import pika
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from lines import say

VERB, (MQTT, KAFKA, AMQP) = sys.argv[1], map(int, sys.argv[2:5])
PATIENCE_SECONDS = 30.0
SERVER = {"bootstrap.servers": f"127.0.0.1:{KAFKA}"}


def until(is_done, turn):
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_done():
        if time.monotonic() > end:
            raise TimeoutError("nothing is told")
        turn()


def retained(body):
    """The reason code of a retained message's PUBACK."""
    told = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_publish = lambda _client, _data, _mid, reason, _properties: told.append(reason.value)
    client.connect("127.0.0.1", MQTT)
    client.loop_start()
    client.publish("kept/here", body, qos=1, retain=True)
    until(lambda: told, lambda: time.sleep(0.01))
    client.loop_stop()
    return told[0]


def latest():
    """The retained message."""
    arrived = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_message = lambda _client, _data, message: arrived.append(message.payload.decode())
    client.on_connect = lambda *_: client.subscribe("kept/here")
    client.connect("127.0.0.1", MQTT)
    client.loop_start()
    until(lambda: arrived, lambda: time.sleep(0.01))
    client.loop_stop()
    return arrived[0]


def produced(body):
    """The name of a record's error; None without one."""
    told = []
    producer = Producer(SERVER | {"retries": 0})
    producer.produce("kept", body, on_delivery=lambda error, _message: told.append(error))
    until(lambda: told, lambda: producer.poll(0.01))
    return told[0] and told[0].name()


def consumed():
    consumer = Consumer(SERVER | {"group.id": "readers", "auto.offset.reset": "earliest"})
    consumer.subscribe(["kept"])
    messages = []
    until(lambda: messages, lambda: messages.extend(one for one in consumer.consume(1, 0.1) if not one.error()))
    consumer.close()
    return messages[0].value().decode()


def connect():
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", AMQP))


def blocked(body):
    """Why a connection that publishes is blocked."""
    told = []
    connection = connect()
    connection.add_on_connection_blocked_callback(lambda _connection, frame: told.append(frame.method.reason))
    connection.channel().basic_publish("", "kept", body, pika.BasicProperties(delivery_mode=2))
    until(lambda: told, lambda: connection.process_data_events(0.01))
    return told[0]


def taken():
    connection = connect()
    _, _, body = connection.channel().basic_get("kept", auto_ack=True)
    connection.close()
    return body and body.decode()


if VERB == "prepare":
    admin = AdminClient(SERVER)
    admin.create_topics([NewTopic("kept", 1)])["kept"].result()
    channel = connect().channel()
    channel.queue_declare("kept", durable=True)
    channel.confirm_delivery()
    channel.basic_publish("", "kept", b"before", pika.BasicProperties(delivery_mode=2))
    say(kept=[retained("before"), produced("before")])
else:
    say(protocol="mqtt", told=retained("after"), read=latest())
    say(protocol="kafka", told=produced("after"), read=consumed())
    say(protocol="amqp", told=blocked(b"after"), read=taken())
