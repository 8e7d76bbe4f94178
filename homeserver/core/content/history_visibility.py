"""The content of `m.room.history_visibility`.

Spec: https://spec.matrix.org/v1.19/client-server-api/#mroomhistory_visibility
"""

from typing import Any, Final

from homeserver.core.event.pdu import Event

__all__ = ["INVITED", "JOINED", "SHARED", "WORLD_READABLE", "history_visibility_of", "understood"]

INVITED: Final = "invited"
JOINED: Final = "joined"
SHARED: Final = "shared"
WORLD_READABLE: Final = "world_readable"

_KNOWN = frozenset((INVITED, JOINED, SHARED, WORLD_READABLE))


def understood(value: Any) -> str:
    """Return a value of `history_visibility`, or `shared` for one that is not understood."""
    return value if isinstance(value, str) and value in _KNOWN else SHARED


def history_visibility_of(event: Event | None) -> str:
    """Read the history visibility; `shared` without an event."""
    return SHARED if event is None else understood(event.content.get("history_visibility"))
