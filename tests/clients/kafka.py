"""confluent-kafka (librdkafka) as a publisher or a consumer."""

import argparse
import random

from confluent_kafka import Consumer, KafkaException, OFFSET_BEGINNING, Producer, TopicPartition

from confluent_kafka.admin import AdminClient, NewTopic

from lines import fail, login, pack, pack_value, present, records, say, unpack, unpack_value

arguments = argparse.ArgumentParser()
arguments.add_argument("verb", choices=["create", "publish", "consume", "fill", "reread"])
arguments.add_argument("port", type=int)
arguments.add_argument("topic", nargs="?")
arguments.add_argument("--partitions", type=int, default=1)
arguments.add_argument("--group")
arguments.add_argument("--hold", action="store_true", help="commits nothing")
arguments.add_argument("--confirm", type=int, help="commits after so many, and waits for the answer")
arguments.add_argument("--from", type=int, default=OFFSET_BEGINNING, dest="first", help="an offset of each partition")
arguments.add_argument("--compression", default="none")
arguments.add_argument("--count", type=int)
arguments.add_argument("--login")
asked = arguments.parse_args()

config = {
    "bootstrap.servers": f"127.0.0.1:{asked.port}",
    "broker.address.family": "v4",
    # What matters is printed as `failed`; lost connections are everyday life in these tests.
    "log_level": 2,
}
if asked.login:
    name, password = login(asked.login)
    config |= {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": name,
        "sasl.password": password,
    }


def header(pair):
    name, value = pair
    value = unpack_value(value)
    return name, value.encode() if isinstance(value, str) else value


def create():
    topic = NewTopic(asked.topic, num_partitions=asked.partitions, replication_factor=1)
    admin = AdminClient(config)
    for done in admin.create_topics([topic], request_timeout=10).values():
        done.result()
    say(ready=True)


def publish():
    producer = Producer(
        config
        | {
            "acks": "all",
            # A test that kills the broker learns of it from `failed`, not after minutes of retries.
            "message.timeout.ms": 10_000,
            "linger.ms": 5,
            "message.max.bytes": 4 << 20,
            "enable.idempotence": True,
            "compression.type": asked.compression,
        }
    )
    producer.list_topics(timeout=10)
    say(ready=True)

    def delivered(number):
        return lambda error, _message: fail(error) if error else say(acked=number)

    for number, record in enumerate(records()):
        producer.produce(
            record["to"],
            partition=record.get("partition", -1),
            key=unpack(record.get("key")),
            value=unpack(record.get("body")),
            headers=[header(pair) for pair in record.get("headers", [])],
            timestamp=record.get("timestamp_ms", 0),
            on_delivery=delivered(number),
        )
        producer.poll(0)
    producer.flush(30)


def consume():
    consumer = Consumer(
        config
        | {
            "group.id": asked.group or "alone",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": bool(asked.group) and not (asked.hold or asked.confirm),
            "auto.commit.interval.ms": 100,
        }
    )
    if asked.group:
        consumer.subscribe([asked.topic], on_assign=lambda _consumer, given: say(ready=True, assigned=len(given)))
    else:
        known = consumer.list_topics(asked.topic, timeout=10).topics[asked.topic]
        consumer.assign([TopicPartition(asked.topic, number, asked.first) for number in known.partitions])
        say(ready=True)
    count = 0
    while True:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            fail(message.error())
        say(
            to=message.topic(),
            partition=message.partition(),
            offset=message.offset(),
            timestamp_ms=message.timestamp()[1],
            key=pack(message.key()),
            body=pack(message.value()),
            headers=[[name, pack_value(value)] for name, value in message.headers() or []],
        )
        count += 1
        if asked.confirm and count % asked.confirm == 0:
            consumer.commit(asynchronous=False)
            say(acked=count - 1)


def large(number):
    """What the record with this number holds: a mebibyte that no compression makes smaller."""
    return random.Random(number).randbytes(1 << 20)


def fill():
    # Little waits here, so that what is acknowledged tells how far the topic is; in order, whatever is sent again.
    queue = {"message.max.bytes": 4 << 20, "queue.buffering.max.kbytes": 16 << 10}
    producer = Producer(config | queue | {"enable.idempotence": True})
    say(ready=True)

    def delivered(number):
        return lambda error, _message: fail(error) if error else say(acked=number)

    for number in range(asked.count):
        while True:
            try:
                producer.produce(asked.topic, large(number), on_delivery=delivered(number))
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush(60)


def reread():
    consumer = Consumer(config | {"group.id": "alone"})
    consumer.assign([TopicPartition(asked.topic, 0, OFFSET_BEGINNING)])
    say(ready=True)
    number = 0
    while number < asked.count:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            fail(message.error())
        if (message.offset(), message.value()) != (number, large(number)):
            fail(f"offset {message.offset()} is not record {number}")
        say(acked=number)
        number += 1


VERBS = {"create": create, "publish": publish, "consume": consume, "fill": fill, "reread": reread}

try:
    VERBS[asked.verb]()
except KafkaException as error:
    fail(error)
