"""The size limits of events.

Spec: https://spec.matrix.org/v1.19/client-server-api/#size-limits
"""

from collections.abc import Mapping
from typing import Any

from homeserver.core.errors import TooLarge

__all__ = ["EVENT_BYTES_MAX", "KEY_BYTES_MAX", "check_key_sizes", "check_size"]

EVENT_BYTES_MAX = 65_536
KEY_BYTES_MAX = 255

_LIMITED_KEYS = ("sender", "type", "room_id", "state_key", "event_id")


def check_size(canonical: bytes) -> None:
    """Check the size of a whole event, signatures included.

    Raises:
        TooLarge: over 65,536 bytes.
    """
    if len(canonical) > EVENT_BYTES_MAX:
        raise TooLarge(f"The event has {len(canonical)} bytes; an event has at most {EVENT_BYTES_MAX}.")


def check_key_sizes(pdu: Mapping[str, Any]) -> None:
    """Check the keys that have a limit of their own.

    Raises:
        TooLarge: one of them is over 255 bytes.
    """
    for key in _LIMITED_KEYS:
        value = pdu.get(key)
        # A character takes at most four bytes, so most values need no encoding.
        if value is None or len(value) * 4 <= KEY_BYTES_MAX:
            continue
        if len(value.encode("utf-8", "surrogatepass")) > KEY_BYTES_MAX:
            raise TooLarge(f"The event's {key} is over {KEY_BYTES_MAX} bytes.")
