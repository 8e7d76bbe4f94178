"""The content of `m.room.guest_access`.

Spec: https://spec.matrix.org/v1.19/client-server-api/#mroomguest_access
"""

from typing import Final

from homeserver.core.event.pdu import Event

__all__ = ["GUEST_ACCESS", "lets_guests_in"]

GUEST_ACCESS: Final = "m.room.guest_access"


def lets_guests_in(event: Event | None) -> bool:
    """Whether guests may join; not without an event."""
    return event is not None and event.content.get("guest_access") == "can_join"
