"""gmqtt, as a device that takes orders."""

import asyncio
import json
import logging
import sys

from gmqtt import Client, Message
from gmqtt.mqtt.constants import UNLIMITED_RECONNECTS
from gmqtt.storage import PersistentStorage

from lines import present, say

PORT = int(sys.argv[1])
SESSION_PRESENT = 1


def last_will(will):
    return Message(will["to"], will["body"], will["qos"], will["retain"], will_delay_interval=will.get("delay", 0))


async def arrived(_client, topic, payload, qos, properties):
    def one(name):
        return properties.get(name, [None])[0]

    more = present(
        content_type=one("content_type"),
        reply_to=one("response_topic"),
        headers=properties.get("user_property"),
        subscriptions=properties.get("subscription_identifier"),
        alias=one("topic_alias"),
    )
    say(message={"to": topic, "body": payload.decode(), "qos": qos, "retain": bool(properties["retain"]), **more})
    return 0


class Device:
    async def connect(self, order):
        # Holds what is not acknowledged yet.
        self.storage = PersistentStorage()
        self.client = client = Client(
            order["id"],
            clean_session=order.get("clean", True),
            will_message=last_will(order["will"]) if "will" in order else None,
            persistent_storage=self.storage,
            session_expiry_interval=order.get("expiry", 0),
            topic_alias_maximum=order.get("aliases", 0),
        )
        client.set_config({"reconnect_retries": UNLIMITED_RECONNECTS, "reconnect_delay": 0.1})
        client.on_connect = lambda _client, flags, _code, _properties: say(connected=bool(flags & SESSION_PRESENT))
        client.on_disconnect = lambda *_: say(lost=True)
        client.on_subscribe = lambda _client, _mid, codes, _properties: say(subscribed=list(codes))
        client.on_message = arrived
        await client.connect("127.0.0.1", PORT)

    async def subscribe(self, order):
        number = present(subscription_identifier=order.get("number"))
        self.client.subscribe(order["filter"], qos=order["qos"], **number)

    async def publish(self, order):
        properties = present(
            content_type=order.get("content_type"),
            response_topic=order.get("reply_to"),
            user_property=order.get("headers"),
        )
        self.client.publish(order["to"], order["body"], order["qos"], order.get("retain", False), **properties)
        await self.storage.wait_empty()
        say(published=order["body"])

    async def disconnect(self, _order):
        await self.client.disconnect()


async def main():
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    device = Device()
    async for line in lines:
        order = json.loads(line)
        await getattr(device, order.pop("do"))(order)


# It logs each broken connection with its traceback, and connections break here on purpose.
logging.disable(logging.CRITICAL)
asyncio.run(main())
