"""JSON lines in and out, as README.md describes them."""

import base64
import json
import os
import sys
import threading

_lock = threading.Lock()


def say(**line):
    """Prints one line. Library threads call this too, hence the lock."""
    with _lock:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def fail(why):
    """Ends the program at once, from any thread."""
    say(failed=str(why))
    os._exit(1)


def records():
    for line in sys.stdin:
        yield json.loads(line)


def unpack(text):
    """Base64 or null to bytes or None."""
    return None if text is None else base64.b64decode(text)


def pack(data):
    return None if data is None else base64.b64encode(data).decode()


def pack_value(value):
    """A header value: bytes that are text become text, other bytes are marked."""
    if isinstance(value, (bytes, bytearray)):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            return {"b64": pack(bytes(value))}
    if isinstance(value, dict):
        return {name: pack_value(item) for name, item in value.items()}
    if isinstance(value, list):
        return [pack_value(item) for item in value]
    return value


def unpack_value(value):
    if isinstance(value, dict) and set(value) == {"b64"}:
        return unpack(value["b64"])
    return value


def present(**fields):
    """The fields that are there."""
    return {name: value for name, value in fields.items() if value is not None}


def login(text):
    """NAME:PASSWORD to a pair, or None."""
    return text.split(":", 1) if text else None
