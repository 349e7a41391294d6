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


@scenario
def what_is_held_at_the_limit():
    channel = connect().channel()
    outcome = []
    for overflow in ["drop-head", "reject-publish"]:
        make_dead(channel, x_max_length=1, x_overflow=overflow)
        channel.basic_publish("", "work", b"held")
        method, _, _ = take(channel, "work", acked=False)
        channel.basic_publish("", "work", b"ready")
        outcome.append(settles_at(channel, "work", 1))
        channel.basic_reject(method.delivery_tag, requeue=True)
        outcome += [settles_at(channel, "work", 1), channel.queue_purge("work").method.message_count]
        channel.queue_delete("work")
    return outcome


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
