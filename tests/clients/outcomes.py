"""pika as a judge of brokers: acts out scenarios, and tells for each what the broker did.

    outcomes.py PORT

One JSON line per scenario: {"scenario": NAME, "outcome": ..}. What no two runs have in common (times, names
that the broker chose) is left out.
"""

import datetime
import sys
import time

import pika
from pika.exceptions import AMQPChannelError, AMQPConnectionError, NackError, UnroutableError

from lines import say

PORT = int(sys.argv[1])
# A broker that takes longer is not going to do it.
PATIENCE_SECONDS = 5.0
Properties = pika.BasicProperties
scenarios = []


def scenario(act):
    scenarios.append(act)
    return act


def connect():
    where = pika.ConnectionParameters("127.0.0.1", PORT, heartbeat=30, blocked_connection_timeout=PATIENCE_SECONDS)
    return pika.BlockingConnection(where)


def plain(value):
    """What a header says, without what differs from run to run."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in sorted(value.items())}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime.datetime):
        return "a time"
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    # The type of a number on the wire shows in how it prints.
    return value if isinstance(value, (str, bool, type(None))) else repr(value)


def seen(method, properties, body):
    fields = {name: plain(value) for name, value in vars(properties).items() if value is not None}
    return {
        "exchange": method.exchange,
        "key": method.routing_key,
        "redelivered": method.redelivered,
        "body": body.decode(),
        **fields,
    }


def take(channel, queue, acked=True):
    """The next message of a queue, once there is one."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        method, properties, body = channel.basic_get(queue, auto_ack=acked)
        if method:
            return method, properties, body
        channel.connection.process_data_events(0.01)
    raise TimeoutError(f"nothing comes to {queue}")


def taken(channel, queue):
    return seen(*take(channel, queue))


def wait_for(count, arrived, *connections):
    """Lets connections hear until so many have arrived."""
    end = time.monotonic() + PATIENCE_SECONDS
    while len(arrived) < count:
        if time.monotonic() > end:
            raise TimeoutError(f"only {arrived} arrived")
        for connection in connections:
            connection.process_data_events(0.01)


def bodies(channel, queue, count):
    return [take(channel, queue)[2].decode() for _ in range(count)]


def reject(channel, queue, requeue=False):
    method, properties, _ = take(channel, queue, acked=False)
    channel.basic_reject(method.delivery_tag, requeue=requeue)
    return properties


def depth(channel, queue):
    return channel.queue_declare(queue, passive=True).method.message_count


def settles_at(channel, queue, count):
    """How many messages a queue holds in the end."""
    end = time.monotonic() + PATIENCE_SECONDS
    while depth(channel, queue) != count and time.monotonic() < end:
        channel.connection.process_data_events(0.01)
    return depth(channel, queue)


def confirmed(channel, exchange, key, body, properties=None, mandatory=False):
    """How a broker answers a publish of a channel with confirms."""
    try:
        channel.basic_publish(exchange, key, body, properties, mandatory)
        return "acked"
    except NackError:
        return "nacked"
    except UnroutableError as error:
        return [message.method.reply_code for message in error.messages]


def make(channel, name, **said):
    """A durable queue with arguments: x_message_ttl is x-message-ttl."""
    arguments = {name.replace("_", "-"): value for name, value in said.items()}
    channel.queue_declare(name, durable=True, arguments=arguments)


def make_dead(channel, **said):
    """A queue `work` whose dead letters go to a queue `dead`."""
    make(channel, "dead")
    make(channel, "work", x_dead_letter_exchange="", x_dead_letter_routing_key="dead", **said)


def refusal(act):
    """How a broker refuses something."""
    connection = connect()
    try:
        act(connection.channel())
        return "accepted"
    except (AMQPChannelError, AMQPConnectionError) as error:
        return [getattr(error, "reply_code", None), getattr(error, "reply_text", repr(error))]
    finally:
        if connection.is_open:
            connection.close()


BAD = [-1, 0, 300, 2**40, "text", "", True, None, {"a": 1}]
ARGUMENTS = [
    "x-message-ttl",
    "x-expires",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-single-active-consumer",
    "x-queue-mode",
    "x-queue-version",
    "x-queue-type",
    "x-delivery-limit",
    "x-dead-letter-strategy",
    "x-max-age",
    "x-unknown",
]


@scenario
def arguments_of_queues():
    def declare(arguments, **flags):
        def act(channel):
            channel.queue_declare("asked", **{"durable": True, **flags}, arguments=arguments)
            channel.queue_delete("asked")

        return refusal(act)

    outcome = {}
    for name in ARGUMENTS:
        for value in BAD:
            outcome[f"{name}={value!r}"] = declare({name: value})
    for overflow in ["drop-head", "reject-publish", "reject-publish-dlx"]:
        outcome[overflow] = declare({"x-overflow": overflow})
    for kind in ["classic", "quorum"]:
        typed = {"x-queue-type": kind}
        for flags in [{"durable": False}, {"exclusive": True}, {"auto_delete": True}]:
            outcome[f"{kind} {flags}"] = declare(typed, **flags)
        for name, value in [
            ("x-max-priority", 5),
            ("x-delivery-limit", 5),
            ("x-dead-letter-strategy", "at-least-once"),
            ("x-dead-letter-strategy", "sometimes"),
            ("x-queue-mode", "lazy"),
            ("x-queue-version", 2),
            ("x-queue-leader-locator", "balanced"),
            ("x-message-ttl", 5),
            ("x-expires", 60000),
        ]:
            outcome[f"{kind} {name}={value}"] = declare({**typed, name: value})
    return outcome


@scenario
def declaring_again():
    def again(first, second):
        def act(channel):
            channel.queue_declare("again", **{"durable": True, **first})
            channel.queue_declare("again", **{"durable": True, **second})

        outcome = refusal(act)
        refusal(lambda channel: channel.queue_delete("again"))
        return outcome

    pairs = [
        ({"x-message-ttl": 5}, {"x-message-ttl": 6}),
        ({"x-message-ttl": 5}, {"x-message-ttl": "5"}),
        ({"x-message-ttl": 5}, {}),
        ({}, {"x-message-ttl": 5}),
        ({"x-message-ttl": 5}, {"x-message-ttl": -6}),
        ({"x-unknown": 5}, {"x-unknown": 6}),
        ({"x-max-length": 2}, {"x-max-length": 2**40}),
        ({"x-dead-letter-exchange": "a"}, {"x-dead-letter-exchange": ""}),
        ({"x-queue-type": "classic"}, {}),
        ({}, {"x-queue-type": "quorum"}),
        ({}, {"x-queue-mode": "lazy"}),
        ({"x-overflow": "drop-head"}, {}),
        ({"x-single-active-consumer": True}, {"x-single-active-consumer": False}),
        ({"x-max-priority": 3}, {"x-max-priority": 4}),
    ]
    outcome = [again({"arguments": one}, {"arguments": other}) for one, other in pairs]
    outcome.append(again({"durable": False}, {"durable": True}))
    outcome.append(again({"auto_delete": False}, {"auto_delete": True}))
    outcome.append(again({"exclusive": False}, {"exclusive": True}))
    return outcome


@scenario
def exchanges():
    def twice(first, second):
        def act(channel):
            channel.exchange_declare("twice", **first)
            channel.exchange_declare("twice", **second)

        outcome = refusal(act)
        refusal(lambda channel: channel.exchange_delete("twice"))
        return outcome

    def told(value, kind="direct"):
        return {"exchange_type": kind, "arguments": {"alternate-exchange": value}}

    return [
        twice(told("a"), {"exchange_type": "direct"}),
        twice(told("a"), told("b")),
        twice(told("a"), told("a", "fanout")),
        twice(told(5), {}),
        twice({"exchange_type": "odd"}, {}),
        twice({"exchange_type": "direct"}, {"exchange_type": "direct", "durable": True}),
    ]


@scenario
def alternate_exchange():
    channel = connect().channel()
    for name, kind, alternate in [("first", "direct", "second"), ("second", "topic", "third"), ("third", "fanout", None)]:
        arguments = {"alternate-exchange": alternate} if alternate else None
        channel.exchange_declare(name, kind, arguments=arguments)
        make(channel, f"of {name}")
    channel.queue_bind("of first", "first", "one")
    channel.queue_bind("of second", "second", "two.*")
    channel.queue_bind("of third", "third", "")
    channel.confirm_delivery()
    for key in ["one", "two.more", "four"]:
        channel.basic_publish("first", key, key.encode(), mandatory=True)
    outcome = [taken(channel, f"of {name}") for name in ["first", "second", "third"]]
    for name in ["first", "second", "third"]:
        channel.exchange_delete(name)
    return outcome


@scenario
def time_to_live_of_a_queue():
    channel = connect().channel()
    make_dead(channel, x_message_ttl=30)
    headers = {"mine": 1, "list": [1, "two"]}
    properties = Properties(headers=headers, delivery_mode=2, expiration="60000", priority=3, message_id="m")
    channel.basic_publish("", "work", b"slow", properties)
    return [taken(channel, "dead"), depth(channel, "work")]


@scenario
def time_to_live_of_a_message():
    channel = connect().channel()
    make_dead(channel)
    channel.basic_publish("", "work", b"brief", Properties(expiration="20", delivery_mode=1))
    channel.basic_publish("", "work", b"long")
    return [taken(channel, "dead"), taken(channel, "work")]


@scenario
def no_time_to_live_at_all():
    channel = connect().channel()
    make_dead(channel)
    channel.basic_publish("", "work", b"nobody waits", Properties(expiration="0"))
    outcome = [taken(channel, "dead")]
    channel.basic_consume("work", lambda channel, *message: outcome.append(seen(*message)), auto_ack=True)
    channel.basic_publish("", "work", b"somebody waits", Properties(expiration="0"))
    wait_for(2, outcome, channel.connection)
    return outcome


@scenario
def rejected():
    channel = connect().channel()
    make_dead(channel)
    headers = {"CC": ["other"], "BCC": ["third"]}
    channel.basic_publish("", "work", b"bad", Properties(headers=headers))
    reject(channel, "work", requeue=True)
    reject(channel, "work")
    return taken(channel, "dead")


@scenario
def rejected_without_a_route():
    channel = connect().channel()
    make(channel, "work", x_dead_letter_exchange="nowhere")
    channel.basic_publish("", "work", b"bad")
    reject(channel, "work")
    return settles_at(channel, "work", 0)


@scenario
def pushed_out():
    channel = connect().channel()
    make_dead(channel, x_max_length=2)
    for body in [b"1", b"2", b"3"]:
        channel.basic_publish("", "work", body)
    return [taken(channel, "dead"), bodies(channel, "work", 2)]


@scenario
def pushed_out_by_bytes():
    channel = connect().channel()
    # Large bodies: we count what is stored, which is a hundred bytes more than a body.
    make_dead(channel, x_max_length_bytes=100_000)
    for body in [b"a" * 60_000, b"b" * 30_000, b"c" * 60_000]:
        channel.basic_publish("", "work", body)
    return [taken(channel, "dead")["body"][0], [body[0] for body in bodies(channel, "work", 2)]]


def held_at_the_limit(overflow):
    channel = connect().channel()
    make_dead(channel, x_max_length=1, x_overflow=overflow)
    channel.basic_publish("", "work", b"held")
    method, _, _ = take(channel, "work", acked=False)
    channel.basic_publish("", "work", b"ready")
    outcome = [settles_at(channel, "work", 1)]
    channel.basic_reject(method.delivery_tag, requeue=True)
    outcome += [settles_at(channel, "work", 1), channel.queue_purge("work").method.message_count]
    return outcome


@scenario
def what_is_held_at_the_limit():
    return held_at_the_limit("drop-head")


@scenario
def held_where_publishes_are_refused():
    return held_at_the_limit("reject-publish")


@scenario
def refused_at_the_limit():
    channel = connect().channel()
    channel.confirm_delivery()
    outcome = []
    for overflow in ["reject-publish", "reject-publish-dlx"]:
        make_dead(channel, x_max_length=1, x_overflow=overflow)
        for body in [b"fits", b"does not"]:
            try:
                channel.basic_publish("", "work", body)
                outcome.append("acked")
            except NackError:
                outcome.append("nacked")
        if overflow == "reject-publish-dlx":
            outcome.append(taken(channel, "dead"))
        outcome.append(bodies(channel, "work", 1))
        channel.queue_delete("work")
    return outcome


@scenario
def delivery_limit():
    channel = connect().channel()
    make_dead(channel, x_queue_type="quorum", x_delivery_limit=2)
    channel.basic_publish("", "work", b"poison")
    counts = [plain(reject(channel, "work", requeue=True).headers) for _ in range(3)]
    return [counts, taken(channel, "dead"), depth(channel, "work")]


@scenario
def by_way_of_an_exchange():
    channel = connect().channel()
    channel.exchange_declare("deaths", "topic")
    make(channel, "all.dead")
    channel.queue_bind("all.dead", "deaths", "work.*")
    make(channel, "work.own", x_dead_letter_exchange="deaths")
    make(channel, "work.other", x_dead_letter_exchange="deaths", x_dead_letter_routing_key="work.elsewhere")
    outcome = []
    for queue in ["work.own", "work.other"]:
        channel.basic_publish("", queue, b"x")
        reject(channel, queue)
        outcome.append(taken(channel, "all.dead"))
    channel.exchange_delete("deaths")
    return outcome


@scenario
def from_an_exchange_to_another():
    channel = connect().channel()
    channel.exchange_declare("orders", "topic")
    channel.exchange_declare("deaths", "direct")
    make(channel, "work", x_dead_letter_exchange="deaths")
    channel.queue_bind("work", "orders", "orders.#")
    make(channel, "dead")
    channel.queue_bind("dead", "deaths", "orders.eu.new")
    channel.basic_publish("orders", "orders.eu.new", b"x")
    reject(channel, "work")
    outcome = taken(channel, "dead")
    for name in ["orders", "deaths"]:
        channel.exchange_delete(name)
    return outcome


@scenario
def retrying():
    channel = connect().channel()
    make(channel, "tries", x_dead_letter_exchange="", x_dead_letter_routing_key="waits")
    make(channel, "waits", x_message_ttl=20, x_dead_letter_exchange="", x_dead_letter_routing_key="tries")
    channel.basic_publish("", "tries", b"x", Properties(headers={"mine": "yes"}))
    return [plain(reject(channel, "tries").headers) for _ in range(3)]


@scenario
def going_round():
    channel = connect().channel()
    make(channel, "one", x_message_ttl=20, x_dead_letter_exchange="", x_dead_letter_routing_key="two")
    make(channel, "two", x_message_ttl=20, x_dead_letter_exchange="", x_dead_letter_routing_key="one")
    make(channel, "self", x_message_ttl=20, x_dead_letter_exchange="")
    channel.basic_publish("", "one", b"x")
    channel.basic_publish("", "self", b"x")
    channel.connection.process_data_events(0.3)
    return [depth(channel, name) for name in ["one", "two", "self"]]


@scenario
def priorities():
    channel = connect().channel()
    make(channel, "work", x_max_priority=3)
    for number, priority in enumerate([None, 1, 2, 3, 9, 0, 2]):
        channel.basic_publish("", "work", str(number).encode(), Properties(priority=priority))
    outcome = [settles_at(channel, "work", 7), bodies(channel, "work", 7)]
    for number, priority in enumerate([0, 3, 1]):
        channel.basic_publish("", "work", str(number).encode(), Properties(priority=priority))
    reject(channel, "work", requeue=True)
    return [*outcome, bodies(channel, "work", 2), channel.queue_purge("work").method.message_count]


@scenario
def one_active_consumer():
    connection = connect()
    channel, outcome = connection.channel(), []
    make(channel, "work", x_single_active_consumer=True)

    def heard(name):
        return lambda _channel, _method, _properties, body: outcome.append([name, body.decode()])

    first = channel.basic_consume("work", heard("first"), auto_ack=True)
    other = connect()
    other.channel().basic_consume("work", heard("second"), auto_ack=True)
    for round, cancelled in [(b"1", False), (b"2", True), (b"3", False)]:
        channel.basic_publish("", "work", round)
        wait_for(len(outcome) + 1, outcome, connection, other)
        if cancelled:
            channel.basic_cancel(first)
    return outcome


@scenario
def consumers_of_different_priority():
    channel, outcome = connect().channel(), []
    make(channel, "work")
    for name, priority in [("low", -1), ("high", 5), ("plain", None)]:
        arguments = None if priority is None else {"x-priority": priority}
        channel.basic_consume(
            "work",
            lambda _channel, _method, _properties, body, name=name: outcome.append([name, body.decode()]),
            auto_ack=True,
            arguments=arguments,
        )
    for body in [b"1", b"2", b"3"]:
        channel.basic_publish("", "work", body)
        wait_for(len(outcome) + 1, outcome, channel.connection)

    def bad(value):
        def act(channel):
            channel.queue_declare("work", passive=True)
            channel.basic_consume("work", print, arguments={"x-priority": value})

        return refusal(act)

    return [outcome, bad("high"), bad(True), bad(None)]


def over_priorities(overflow):
    channel = connect().channel()
    channel.confirm_delivery()
    make_dead(channel, x_max_priority=3, x_max_length=2, x_overflow=overflow)
    outcome = []
    for body, priority in [(b"low", 0), (b"high", 3), (b"middle", 1), (b"highest", 3)]:
        outcome.append(confirmed(channel, "", "work", body, Properties(priority=priority)))
    outcome += [settles_at(channel, "work", 2), bodies(channel, "work", 2)]
    died = settles_at(channel, "dead", 2 if overflow == "drop-head" else 0)
    return [*outcome, bodies(channel, "dead", died)]


@scenario
def pushed_out_over_priorities():
    return over_priorities("drop-head")


@scenario
def refused_over_priorities():
    return over_priorities("reject-publish")


@scenario
def refused_though_held_by_bytes():
    channel = connect().channel()
    channel.confirm_delivery()
    make_dead(channel, x_max_length_bytes=100, x_overflow="reject-publish-dlx")
    outcome = [confirmed(channel, "", "work", b"a" * 60)]
    method, _, _ = take(channel, "work", acked=False)
    outcome += [confirmed(channel, "", "work", body) for body in [b"b" * 60, b"c" * 60, b"d" * 40]]
    outcome.append(taken(channel, "dead")["body"][0])
    channel.basic_nack(method.delivery_tag, requeue=True)
    outcome += [settles_at(channel, "work", 3), confirmed(channel, "", "work", b"e", mandatory=True)]
    return [*outcome, [body[0] for body in bodies(channel, "work", 3)]]


@scenario
def refused_to_nobody_who_waits():
    outcome = []
    for size in [0, 1]:
        channel, reader = connect().channel(), connect().channel()
        make(channel, "work", x_max_length=size, x_overflow="reject-publish")
        arrived = []
        reader.basic_consume("work", lambda *message: arrived.append(message[3].decode()), auto_ack=True)
        # One after the other without waiting for an answer.
        for number in range(50):
            channel.basic_publish("", "work", str(number).encode())
        end = time.monotonic() + (PATIENCE_SECONDS if size else 0.3)
        while len(arrived) < 50 and time.monotonic() < end:
            reader.connection.process_data_events(0.01)
        outcome.append([arrived, depth(channel, "work")])
        channel.queue_delete("work")
    return outcome


@scenario
def dead_where_there_is_no_room():
    channel = connect().channel()
    channel.exchange_declare("deaths", "fanout")
    outcome = []
    for overflow in ["reject-publish", "drop-head"]:
        make(channel, "work", x_dead_letter_exchange="deaths")
        make(channel, "dead", x_max_length=1, x_overflow=overflow)
        make(channel, "all.dead")
        for name in ["dead", "all.dead"]:
            channel.queue_bind(name, "deaths", "")
        for body in [b"1", b"2", b"3"]:
            channel.basic_publish("", "work", body)
            reject(channel, "work")
        # All have died once they are here.
        outcome += [bodies(channel, "all.dead", 3), settles_at(channel, "dead", 1)]
        outcome += [bodies(channel, "dead", 1), depth(channel, "work")]
        for name in ["work", "dead", "all.dead"]:
            channel.queue_delete(name)
    channel.exchange_delete("deaths")
    return outcome


@scenario
def only_bodies_count():
    channel = connect().channel()
    make_dead(channel, x_max_length_bytes=100)
    headers = {"long": "x" * 200}
    for body in [b"a" * 50, b"b" * 50, b"c" * 10]:
        channel.basic_publish("", "work", body, Properties(headers=headers, message_id="m" * 50))
    return [taken(channel, "dead")["body"], settles_at(channel, "work", 2), bodies(channel, "work", 2)]


@scenario
def larger_than_the_queue():
    channel = connect().channel()
    make_dead(channel, x_max_length_bytes=10)
    for body in [b"fits", b"is much too long"]:
        channel.basic_publish("", "work", body)
    return [settles_at(channel, "dead", 2), bodies(channel, "dead", 2), depth(channel, "work")]


@scenario
def no_room_at_all():
    channel, outcome = connect().channel(), []
    make_dead(channel, x_max_length=0)
    channel.basic_publish("", "work", b"nobody waits")
    outcome.append(taken(channel, "dead")["body"])
    channel.basic_consume("work", lambda channel, *message: outcome.append(seen(*message)["body"]), auto_ack=True)
    channel.basic_publish("", "work", b"somebody waits")
    wait_for(2, outcome, channel.connection)
    return [*outcome, depth(channel, "dead")]


@scenario
def which_is_pushed_out():
    channel = connect().channel()
    make_dead(channel, x_max_length=2)
    channel.basic_publish("", "work", b"held")
    method, _, _ = take(channel, "work", acked=False)
    for body in [b"1", b"2", b"3"]:
        channel.basic_publish("", "work", body)
    outcome = [taken(channel, "dead")["body"], settles_at(channel, "work", 2)]
    channel.basic_reject(method.delivery_tag, requeue=True)
    outcome += [taken(channel, "dead")["body"], settles_at(channel, "work", 2)]
    return [*outcome, bodies(channel, "work", 2), depth(channel, "dead")]


@scenario
def pushed_out_while_consumed():
    channel, arrived = connect().channel(), []
    make_dead(channel, x_max_length=2)
    channel.basic_qos(prefetch_count=2)
    tag = channel.basic_consume("work", lambda _channel, method, _properties, body: arrived.append((method.delivery_tag, body.decode())))
    for number in range(6):
        channel.basic_publish("", "work", str(number).encode())
    wait_for(2, arrived, channel.connection)
    outcome = [settles_at(channel, "work", 2), settles_at(channel, "dead", 2), bodies(channel, "dead", 2)]
    channel.basic_cancel(tag)
    for tag, _ in arrived:
        channel.basic_ack(tag)
    return [*outcome, [body for _, body in arrived], bodies(channel, "work", 2), depth(channel, "work")]


@scenario
def one_of_several_is_full():
    channel = connect().channel()
    channel.confirm_delivery()
    channel.exchange_declare("all", "fanout")
    outcome = []
    for overflow in ["reject-publish", "reject-publish-dlx"]:
        make_dead(channel, x_max_length=1, x_overflow=overflow)
        make(channel, "roomy")
        make(channel, "small", x_max_length=1, x_overflow=overflow)
        for queue in ["work", "roomy", "small"]:
            channel.queue_bind(queue, "all", "")
        for body in [b"1", b"2"]:
            outcome.append(confirmed(channel, "all", "key", body))
        outcome.append([bodies(channel, queue, count) for queue, count in [("work", 1), ("roomy", 2), ("small", 1)]])
        if overflow == "reject-publish-dlx":
            outcome.append(taken(channel, "dead"))
        outcome.append(depth(channel, "dead"))
        for queue in ["work", "roomy", "small"]:
            channel.queue_delete(queue)
    channel.exchange_delete("all")
    return outcome


@scenario
def a_full_queue_in_a_transaction():
    channel = connect().channel()
    make(channel, "work", x_max_length=1, x_overflow="reject-publish")
    make(channel, "dead")

    def act(channel):
        channel.tx_select()
        for key in ["work", "work", "dead"]:
            channel.basic_publish("", key, b"x")
        channel.tx_commit()

    return [refusal(act), settles_at(channel, "work", 1), settles_at(channel, "dead", 1)]


@scenario
def dead_letters_for_a_full_queue():
    channel = connect().channel()
    make(channel, "dead", x_max_length=1, x_overflow="reject-publish")
    make(channel, "work", x_dead_letter_exchange="", x_dead_letter_routing_key="dead")
    for body in [b"1", b"2"]:
        channel.basic_publish("", "work", body)
        reject(channel, "work")
        settles_at(channel, "dead", 1)
    outcome = [settles_at(channel, "work", 0), bodies(channel, "dead", 1)]
    channel.queue_delete("dead")
    return outcome


@scenario
def emptied_while_some_are_held():
    channel = connect().channel()
    make(channel, "work")
    for body in [b"1", b"2", b"3"]:
        channel.basic_publish("", "work", body)
    method, _, _ = take(channel, "work", acked=False)
    outcome = [channel.queue_purge("work").method.message_count]
    channel.basic_reject(method.delivery_tag, requeue=True)
    return [*outcome, taken(channel, "work")]


@scenario
def expired_behind_the_head():
    channel = connect().channel()
    make_dead(channel)
    for body, life in [(b"1", None), (b"2", "20"), (b"3", None)]:
        channel.basic_publish("", "work", body, Properties(expiration=life))
    channel.connection.process_data_events(0.2)
    outcome = [depth(channel, "work"), depth(channel, "dead"), bodies(channel, "work", 1)]
    outcome.append(taken(channel, "dead")["body"])
    return [*outcome, bodies(channel, "work", 1)]


@scenario
def expired_behind_one_that_is_held():
    channel = connect().channel()
    make_dead(channel)
    for body, life in [(b"1", None), (b"2", "20"), (b"3", None)]:
        channel.basic_publish("", "work", body, Properties(expiration=life))
    method, _, _ = take(channel, "work", acked=False)
    outcome = [taken(channel, "dead")["body"], settles_at(channel, "work", 1)]
    channel.basic_reject(method.delivery_tag, requeue=True)
    return [*outcome, bodies(channel, "work", 2)]


@scenario
def expired_while_held():
    channel = connect().channel()
    make_dead(channel, x_message_ttl=50)
    channel.basic_publish("", "work", b"kept", Properties())
    method, _, _ = take(channel, "work", acked=False)
    channel.connection.process_data_events(0.15)
    outcome = [depth(channel, "dead")]
    channel.basic_reject(method.delivery_tag, requeue=True)
    outcome.append(taken(channel, "dead"))
    channel.basic_publish("", "work", b"done with", Properties())
    method, _, _ = take(channel, "work", acked=False)
    channel.connection.process_data_events(0.15)
    channel.basic_ack(method.delivery_tag)
    return [*outcome, depth(channel, "work"), depth(channel, "dead")]


@scenario
def time_to_live_of_nothing():
    channel = connect().channel()
    make_dead(channel, x_message_ttl=0)
    channel.basic_publish("", "work", b"nobody waits")
    outcome = [taken(channel, "dead")]
    channel.basic_consume("work", lambda channel, *message: outcome.append(seen(*message)), auto_ack=False)
    channel.basic_publish("", "work", b"somebody waits")
    wait_for(2, outcome, channel.connection)
    channel.basic_nack(0, multiple=True, requeue=True)
    outcome.append(taken(channel, "dead"))
    return outcome


@scenario
def the_shorter_life():
    channel = connect().channel()
    make_dead(channel, x_message_ttl=30)
    outcome = []
    for life in ["10", "100000"]:
        channel.basic_publish("", "work", life.encode(), Properties(expiration=life))
        outcome.append(taken(channel, "dead"))
    return outcome


@scenario
def several_deaths():
    channel = connect().channel()
    make_dead(channel, x_max_length=1)
    outcome = []
    for body in [b"pushed out", b"rejected", b"brief"]:
        channel.basic_publish("", "work", body, Properties(expiration="30" if body == b"brief" else None))
        if body == b"rejected":
            outcome.append(taken(channel, "dead"))
            reject(channel, "work")
            outcome.append(taken(channel, "dead"))
    method, properties, body = take(channel, "dead")
    outcome.append(seen(method, properties, body))
    return outcome


@scenario
def a_history_of_its_own():
    channel = connect().channel()
    make_dead(channel)
    outcome = []
    for history in ["text", [], [{"queue": "work", "reason": "rejected", "count": 5}], [{"mine": 1}]]:
        headers = {"x-death": history, "x-first-death-queue": "somewhere"}
        channel.basic_publish("", "work", b"x", Properties(headers=headers))
        reject(channel, "work")
        outcome.append(taken(channel, "dead"))
    return outcome


@scenario
def further_keys_of_the_dead():
    channel = connect().channel()
    channel.exchange_declare("deaths", "direct")
    headers = {"CC": ["cc"], "BCC": ["bcc"]}
    outcome = []
    for key in [None, "told"]:
        told = {"x_dead_letter_routing_key": key} if key else {}
        make(channel, "work", x_dead_letter_exchange="deaths", **told)
        for name in ["work", "cc", "bcc", "told"]:
            make(channel, f"dead {name}")
            channel.queue_bind(f"dead {name}", "deaths", name)
        channel.basic_publish("", "work", b"x", Properties(headers=headers))
        reject(channel, "work")
        channel.connection.process_data_events(0.2)
        for name in ["work", "cc", "bcc", "told"]:
            count = depth(channel, f"dead {name}")
            outcome.append([name, [taken(channel, f"dead {name}") for _ in range(count)]])
            channel.queue_delete(f"dead {name}")
        channel.queue_delete("work")
    channel.exchange_delete("deaths")
    return outcome


@scenario
def pushed_out_to_itself():
    channel = connect().channel()
    make(channel, "work", x_max_length=1, x_dead_letter_exchange="", x_dead_letter_routing_key="work")
    for body in [b"1", b"2"]:
        channel.basic_publish("", "work", body)
    channel.connection.process_data_events(0.2)
    outcome = [settles_at(channel, "work", 1), bodies(channel, "work", 1)]
    channel.queue_delete("work")
    make(channel, "work", x_dead_letter_exchange="", x_dead_letter_routing_key="work")
    channel.basic_publish("", "work", b"x")
    counts = [plain(reject(channel, "work").headers) for _ in range(3)]
    return [*outcome, counts]


@scenario
def delivery_limit_of_those_who_go():
    channel = connect().channel()
    make_dead(channel, x_queue_type="quorum", x_delivery_limit=1)
    channel.basic_publish("", "work", b"poison")
    outcome = []
    for _ in range(2):
        other = connect()
        method, properties, _ = take(other.channel(), "work", acked=False)
        outcome.append([method.redelivered, plain(properties.headers)])
        other.close()
    return [*outcome, taken(channel, "dead"), depth(channel, "work")]


@scenario
def the_active_one_stays():
    outcome, connections = [], []
    channel = connect().channel()
    make(channel, "work", x_single_active_consumer=True)

    def join(name, priority):
        own = connect().channel()
        connections.append(own.connection)
        heard = lambda _channel, _method, _properties, body: outcome.append([name, body.decode()])
        return own, own.basic_consume("work", heard, auto_ack=True, arguments={"x-priority": priority})

    def ask(body):
        channel.basic_publish("", "work", body)
        wait_for(len(outcome) + 1, outcome, *connections)

    own, tag = join("plain", 0)
    join("low", -5)
    join("high", 5)
    join("also high", 5)
    ask(b"1")
    own.basic_cancel(tag)
    ask(b"2")
    connections.pop(2).close()
    ask(b"3")
    connections.pop(2).close()
    ask(b"4")
    return outcome


@scenario
def the_active_one_is_busy():
    outcome, connections = [], []
    channel = connect().channel()
    make(channel, "work", x_single_active_consumer=True)
    for name in ["first", "second"]:
        own = connect().channel()
        own.basic_qos(prefetch_count=1)
        connections.append(own.connection)
        own.basic_consume("work", lambda _channel, method, _properties, body, name=name: outcome.append([name, body.decode(), method.redelivered]))
    for body in [b"1", b"2"]:
        channel.basic_publish("", "work", body)
    wait_for(1, outcome, *connections)
    for connection in connections:
        connection.process_data_events(0.1)
    outcome.append("nothing more")

    def exclusive(channel):
        channel.basic_consume("work", print, exclusive=True)

    return [*outcome, refusal(exclusive)]


@scenario
def priorities_that_come_back():
    channel = connect().channel()
    make(channel, "work", x_max_priority=5)
    for body, priority in [(b"a", 1), (b"b", 5), (b"c", 1), (b"d", 5)]:
        channel.basic_publish("", "work", body, Properties(priority=priority))
    tags = [take(channel, "work", acked=False)[0].delivery_tag for _ in range(3)]
    channel.basic_nack(tags[-1], multiple=True, requeue=True)
    return [(body.decode(), method.redelivered) for method, _, body in (take(channel, "work") for _ in range(4))]


@scenario
def keys_with_dots():
    channel = connect().channel()
    channel.confirm_delivery()
    queues = ["a.b.c", "a..c", ".", "plain", "a/b", "*"]
    channel.exchange_declare("of topics", "topic")
    channel.exchange_declare("of keys", "direct")
    for queue in queues:
        make(channel, queue)
        channel.queue_bind(queue, "of topics", queue if queue != "a.b.c" else "a.*.c")
        channel.queue_bind(queue, "of keys", queue)
    outcome = []
    for exchange in ["", "of topics", "of keys"]:
        for key in queues:
            outcome.append([exchange, key, confirmed(channel, exchange, key, b"x", mandatory=True)])
            for queue in queues:
                count = depth(channel, queue)
                outcome.append([queue, [taken(channel, queue) for _ in range(count)]])
    for queue in queues:
        channel.queue_delete(queue)
    for exchange in ["of topics", "of keys"]:
        channel.exchange_delete(exchange)
    return outcome


@scenario
def dead_by_keys_with_dots():
    channel = connect().channel()
    channel.exchange_declare("deaths", "topic")
    channel.exchange_declare("in", "direct")
    make(channel, "a.b", x_dead_letter_exchange="deaths")
    make(channel, "dead")
    channel.queue_bind("a.b", "in", "k.l")
    channel.queue_bind("dead", "deaths", "*.*")
    outcome = []
    for exchange, key in [("", "a.b"), ("in", "k.l")]:
        channel.basic_publish(exchange, key, b"x")
        reject(channel, "a.b")
        outcome.append(taken(channel, "dead"))
    channel.queue_delete("a.b")
    for exchange in ["deaths", "in"]:
        channel.exchange_delete(exchange)
    return outcome


@scenario
def transactions():
    channel = connect().channel()
    make(channel, "work")
    channel.basic_publish("", "work", b"first")
    channel.tx_select()
    method, _, _ = take(channel, "work", acked=False)
    channel.basic_ack(method.delivery_tag)
    channel.basic_publish("", "work", b"second")
    outcome = [depth(channel, "work")]
    channel.tx_rollback()
    outcome.append(depth(channel, "work"))
    channel.basic_ack(method.delivery_tag)
    channel.basic_publish("", "work", b"third")
    channel.tx_commit()
    outcome.append(bodies(channel, "work", 1))
    channel.tx_commit()
    returned = []
    channel.add_on_return_callback(lambda *said: returned.append([said[1].reply_code, said[3].decode()]))
    channel.basic_publish("", "nowhere", b"lost", mandatory=True)
    channel.connection.process_data_events(0.05)
    outcome.append(list(returned))
    channel.tx_commit()
    channel.connection.process_data_events(0.05)
    return [*outcome, returned, depth(channel, "work")]


@scenario
def transactions_that_end():
    channel = connect().channel()
    make(channel, "work")
    channel.basic_publish("", "work", b"first")
    inner = channel.connection.channel()
    inner.tx_select()
    method, _, _ = take(inner, "work", acked=False)
    inner.basic_ack(method.delivery_tag)
    inner.basic_publish("", "work", b"second")
    inner.close()
    outcome = [taken(channel, "work"), depth(channel, "work")]

    def mixed(first, second):
        return refusal(lambda channel: (getattr(channel, first)(), getattr(channel, second)()))

    outcome.append(mixed("confirm_delivery", "tx_select"))
    outcome.append(mixed("tx_select", "confirm_delivery"))
    outcome.append(refusal(lambda channel: channel.tx_commit()))
    outcome.append(refusal(lambda channel: channel.tx_rollback()))

    def unknown_tag(channel):
        channel.tx_select()
        channel.basic_ack(77)
        channel.tx_commit()

    def unknown_exchange(channel):
        channel.tx_select()
        channel.basic_publish("nowhere", "key", b"")
        channel.tx_commit()

    return [*outcome, refusal(unknown_tag), refusal(unknown_exchange)]


@scenario
def further_keys():
    channel = connect().channel()
    names = ["first", "second", "third"]
    for name in names:
        make(channel, name)
    headers = {"CC": ["second", "first", 5], "BCC": ["third"], "mine": 1}
    channel.basic_publish("", "first", b"x", Properties(headers=headers))
    outcome = [taken(channel, name) for name in names]
    outcome.append([depth(channel, name) for name in names])

    def bad(value):
        def act(channel):
            channel.confirm_delivery()
            channel.basic_publish("", "first", b"x", Properties(headers=value))

        return refusal(act)

    outcome += [bad({"CC": "second"}), bad({"BCC": 5})]
    channel.confirm_delivery()
    try:
        channel.basic_publish("", "nowhere", b"x", Properties(headers=headers | {"CC": []} | {"BCC": ["no"]}), mandatory=True)
    except UnroutableError as error:
        outcome += [plain(message.properties.headers) for message in error.messages]
    return outcome


@scenario
def bad_messages():
    def publish(properties):
        def act(channel):
            channel.confirm_delivery()
            channel.basic_publish("", "nowhere", b"x", properties)

        return refusal(act)

    lives = ["text", "", "-1", "1.5", "+5", " 5", "05", "315360000000", "315360000001"]
    outcome = {life: publish(Properties(expiration=life)) for life in lives}
    outcome["user"] = publish(Properties(user_id="somebody"))
    return outcome


@scenario
def common_prefetch():
    channel = connect().channel()
    for name in ["one", "two"]:
        make(channel, name)
        for number in range(5):
            channel.basic_publish("", name, f"{name} {number}".encode())
    channel.basic_qos(prefetch_count=4, global_qos=True)
    arrived = []

    def heard(_channel, method, _properties, body):
        arrived.append((method.delivery_tag, body.decode()))

    channel.basic_consume("one", heard)
    channel.connection.process_data_events(0.2)
    alone = len(arrived)
    channel.basic_consume("two", heard)
    channel.connection.process_data_events(0.2)
    together = len(arrived)
    for count in range(together, 11):
        wait_for(min(count, 10), arrived, channel.connection)
        channel.basic_ack(arrived[count - together][0])
    return [alone, together, sorted(body for _, body in arrived)]


@scenario
def expiring_queue():
    channel = connect().channel()
    make(channel, "brief", x_expires=100)
    before = depth(channel, "brief")
    # Asking for it would keep it, so it is asked for once.
    time.sleep(1.0)
    return [before, refusal(lambda channel: depth(channel, "brief"))]


@scenario
def new_secret():
    connection = connect()
    connection.update_secret("new", "it was time")
    return connection.is_open


def clean():
    """Removes what scenarios have left."""
    for name in ["work", "dead", "all.dead", "work.own", "work.other", "tries", "waits", "one", "two", "self", "brief"]:
        refusal(lambda channel, name=name: channel.queue_delete(name))
    for name in ["first", "second", "third", "of first", "of second", "of third"]:
        refusal(lambda channel, name=name: channel.queue_delete(name))


for act in scenarios:
    try:
        outcome = act()
    except (AMQPChannelError, AMQPConnectionError, TimeoutError) as error:
        outcome = ["failed", repr(error)]
    say(scenario=act.__name__, outcome=outcome)
    clean()
