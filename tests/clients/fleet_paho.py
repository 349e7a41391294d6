"""paho-mqtt, as a device that takes orders."""

import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from lines import present, records, say

PORT = int(sys.argv[1])
LEVELS = {3: mqtt.MQTTv31, 4: mqtt.MQTTv311, 5: mqtt.MQTTv5}


def told(reason, properties):
    """Why a connection ended or did not begin, and where to go instead."""
    words = present(words=getattr(properties, "ReasonString", None))
    return {"why": str(reason), "server": getattr(properties, "ServerReference", None), **words}


class Device:
    def __init__(self):
        self.bodies, self.early = {}, {}

    def connect(self, order):
        level, clean = order.get("level", 5), order.get("clean", True)
        self.v5 = level == 5
        self.client = client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=order["id"],
            protocol=LEVELS[level],
            **({} if self.v5 else {"clean_session": clean}),
        )
        client.on_connect = self.connected
        client.on_disconnect = lambda _c, _d, _f, reason, properties: say(lost=told(reason, properties))
        client.on_subscribe = lambda _c, _d, _mid, codes, _p: say(subscribed=[code.value for code in codes])
        client.on_publish = lambda _c, _d, mid, reason, _p: self.acknowledged(mid, reason)
        client.on_message = self.arrived
        client.reconnect_delay_set(min_delay=1, max_delay=1)
        terms = None
        if self.v5:
            terms = Properties(PacketTypes.CONNECT)
            terms.SessionExpiryInterval = order.get("expiry", 0)
            if "size_max" in order:
                terms.MaximumPacketSize = order["size_max"]
            if "asks_response_topic" in order:
                terms.RequestResponseInformation = 1
        if "will" in order:
            self.last_will(order["will"])
        more = {"clean_start": clean, "properties": terms} if self.v5 else {}
        if "user" in order:
            client.username_pw_set(order["user"], order["password"])
        client.connect("127.0.0.1", PORT, keepalive=60, **more)
        client.loop_start()

    def last_will(self, will):
        properties = None
        if self.v5:
            properties = Properties(PacketTypes.WILLMESSAGE)
            properties.WillDelayInterval = will.get("delay", 0)
        self.client.will_set(will["to"], will["body"], will["qos"], will["retain"], properties)

    def connected(self, client, _data, flags, reason, properties):
        if reason.is_failure:
            say(refused=told(reason, properties))
            # It would try for ever.
            client.disconnect()
        else:
            if self.v5 and hasattr(properties, "ResponseInformation"):
                say(response_topic=properties.ResponseInformation)
            say(connected=flags.session_present)

    def subscribe(self, order):
        if self.v5:
            options = SubscribeOptions(
                order["qos"],
                noLocal=order.get("no_local", False),
                retainAsPublished=order.get("as_published", False),
                retainHandling=order.get("handling", SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE),
            )
            self.client.subscribe(order["filter"], options=options)
        else:
            self.client.subscribe(order["filter"], order["qos"])

    def publish(self, order):
        properties = None
        if self.v5:
            properties = Properties(PacketTypes.PUBLISH)
            if "life" in order:
                properties.MessageExpiryInterval = order["life"]
            if "is_text" in order:
                properties.PayloadFormatIndicator = int(order["is_text"])
        # Each character a byte, so that a body need not be text.
        body = order["body"].encode("latin-1") if "is_text" in order else order["body"]
        sent = self.client.publish(order["to"], body, order["qos"], order.get("retain", False), properties)
        # It may be acknowledged before `publish` has returned the packet's id.
        self.bodies[sent.mid] = order["body"]
        if sent.mid in self.early:
            self.acknowledged(sent.mid, self.early.pop(sent.mid))

    def acknowledged(self, mid, reason):
        if mid not in self.bodies:
            self.early[mid] = reason
            return
        body = self.bodies.pop(mid)
        if reason.is_failure:
            say(unpublished=str(reason))
        else:
            say(published=body)

    def arrived(self, _client, _data, message):
        reply_to = getattr(message.properties, "ResponseTopic", None) if self.v5 else None
        more = present(reply_to=reply_to)
        say(message={"to": message.topic, "body": message.payload.decode(), "qos": message.qos, "retain": message.retain, **more})

    def disconnect(self, _order):
        self.client.disconnect()


device = Device()
for order in records():
    getattr(device, order.pop("do"))(order)
