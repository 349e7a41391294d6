"""pika as a publisher or a consumer."""

import argparse
import datetime
import decimal
import json

import pika
from pika.exceptions import AMQPError

from lines import fail, login, pack, pack_value, present, records, say, unpack, unpack_value

arguments = argparse.ArgumentParser()
arguments.add_argument("verb", choices=["declare", "publish", "consume"])
arguments.add_argument("port", type=int)
arguments.add_argument("queue", nargs="?")
arguments.add_argument("--bind", nargs=2, metavar=("EXCHANGE", "KEY"))
arguments.add_argument("--exchange", nargs=3, metavar=("NAME", "TYPE", "ARGUMENTS"))
arguments.add_argument("--arguments", type=json.loads, help="of the queue, as JSON")
arguments.add_argument("--reject", action="store_true", help="what arrives, for good")
arguments.add_argument("--hold", action="store_true", help="acknowledges nothing")
arguments.add_argument("--confirm", type=int, help="acknowledges so many at a time, in a transaction")
arguments.add_argument("--login", default="guest:guest")
asked = arguments.parse_args()

TEXT = ["content_type", "content_encoding", "message_id", "reply_to", "type", "app_id"]


def open_channel():
    name, password = login(asked.login)
    where = pika.ConnectionParameters(
        "127.0.0.1", asked.port, credentials=pika.PlainCredentials(name, password), heartbeat=30
    )
    return pika.BlockingConnection(where).channel()


def sent_properties(record):
    fields = {name: record[name] for name in [*TEXT, "priority"] if name in record}
    if "correlation" in record:
        fields["correlation_id"] = unpack(record["correlation"]).decode()
    if "expiry_ms" in record:
        fields["expiration"] = str(record["expiry_ms"])
    if "timestamp_ms" in record:
        fields["timestamp"] = record["timestamp_ms"] // 1000
    if record.get("headers"):
        fields["headers"] = {name: unpack_value(value) for name, value in record["headers"]}
    return pika.BasicProperties(delivery_mode=record.get("delivery_mode", 2), **fields)


def publish():
    channel = open_channel()
    channel.confirm_delivery()
    say(ready=True)
    for number, record in enumerate(records()):
        channel.basic_publish(
            record.get("exchange", "amq.topic"),
            record["to"],
            unpack(record.get("body")) or b"",
            sent_properties(record),
            mandatory=bool(record.get("mandatory")),
        )
        say(acked=number)
    channel.connection.close()


def received_value(value):
    if isinstance(value, datetime.datetime):
        return int(value.timestamp())
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, dict):
        return {name: received_value(item) for name, item in value.items()}
    if isinstance(value, list):
        return [received_value(item) for item in value]
    return pack_value(value)


def arrived(channel, method, properties, body):
    correlation = properties.correlation_id
    expiration = properties.expiration
    timestamp = properties.timestamp
    say(
        to=method.routing_key,
        exchange=method.exchange,
        redelivered=method.redelivered,
        body=pack(body),
        headers=[[name, received_value(value)] for name, value in (properties.headers or {}).items()],
        **present(
            **{name: getattr(properties, name) for name in [*TEXT, "priority", "delivery_mode"]},
            # pika gives bytes where a short string is not UTF-8.
            correlation=pack(correlation.encode() if isinstance(correlation, str) else correlation),
            expiry_ms=None if expiration is None else int(expiration),
            timestamp_ms=None if timestamp is None else timestamp * 1000,
        ),
    )
    if asked.hold:
        return
    if asked.confirm:
        # Tags count from 1.
        if method.delivery_tag % asked.confirm == 0:
            channel.basic_ack(method.delivery_tag, multiple=True)
            channel.tx_commit()
            say(acked=method.delivery_tag - 1)
    elif asked.reject:
        channel.basic_reject(method.delivery_tag, requeue=False)
    else:
        channel.basic_ack(method.delivery_tag)


def declare():
    channel = open_channel()
    channel.queue_declare(asked.queue, durable=True, arguments=asked.arguments)
    if asked.exchange:
        name, kind, given = asked.exchange
        channel.exchange_declare(name, kind, durable=True, arguments=json.loads(given))
    if asked.bind:
        channel.queue_bind(asked.queue, *asked.bind)
    say(ready=True)
    return channel


def consume():
    channel = open_channel()
    channel.basic_qos(prefetch_count=200)
    if asked.confirm:
        channel.tx_select()
    channel.basic_consume(asked.queue, arrived)
    say(ready=True)
    channel.start_consuming()


try:
    {"declare": declare, "publish": publish, "consume": consume}[asked.verb]()
except AMQPError as error:
    fail(repr(error))
