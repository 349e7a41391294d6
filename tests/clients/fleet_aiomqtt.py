"""aiomqtt, as a device that takes orders. It connects again as its documentation says: by entering a new client."""

import asyncio
import json
import sys

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from lines import say

PORT = int(sys.argv[1])


def last_will(will):
    properties = Properties(PacketTypes.WILLMESSAGE)
    properties.WillDelayInterval = will.get("delay", 0)
    return aiomqtt.Will(will["to"], will["body"], will["qos"], will["retain"], properties)


def client_of(order):
    terms = Properties(PacketTypes.CONNECT)
    terms.SessionExpiryInterval = order.get("expiry", 0)
    return aiomqtt.Client(
        "127.0.0.1",
        PORT,
        identifier=order["id"],
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=order.get("clean", True),
        properties=terms,
        will=last_will(order["will"]) if "will" in order else None,
    )


class Device:
    def __init__(self):
        self.client = self.life = None

    async def connect(self, order):
        self.life = asyncio.create_task(self.live(order))

    async def live(self, order):
        while True:
            try:
                async with client_of(order) as self.client:
                    # aiomqtt keeps the CONNACK to itself; what waits for the session says that it was there.
                    say(connected=None)
                    async for message in self.client.messages:
                        body = message.payload.decode()
                        say(message={"to": str(message.topic), "body": body, "qos": message.qos, "retain": message.retain})
            except aiomqtt.MqttError as error:
                say(lost=str(error))
                await asyncio.sleep(0.1)

    async def subscribe(self, order):
        codes = await self.client.subscribe(order["filter"], qos=order["qos"])
        say(subscribed=[code.value for code in codes])

    async def publish(self, order):
        await self.client.publish(order["to"], order["body"], qos=order["qos"], retain=order.get("retain", False))
        say(published=order["body"])

    async def disconnect(self, _order):
        # Leaving the client says goodbye.
        self.life.cancel()


async def main():
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    device = Device()
    async for line in lines:
        order = json.loads(line)
        await getattr(device, order.pop("do"))(order)


asyncio.run(main())
