"""The extensions `to_device` and `e2ee`: in their shape, with nothing in them until their sources exist."""

import orjson

from homeserver.sync.sliding.request import ToDeviceExtension

__all__ = ["encryption_part", "to_device_part"]

_BEGINNING = "0"


def to_device_part(asked: ToDeviceExtension) -> bytes:
    """No messages to the device; the place is where the client was."""
    return orjson.dumps({"next_batch": asked.since or _BEGINNING, "events": []})


def encryption_part(*, is_incremental: bool) -> bytes:
    """No keys are known, and nobody's devices changed."""
    part: dict[str, object] = {"device_one_time_keys_count": {}, "device_unused_fallback_key_types": []}
    if is_incremental:
        part["device_lists"] = {"changed": [], "left": []}
    return orjson.dumps(part)
