"""The content of `m.space.child`: which rooms a space holds, and in which order they are shown.

Spec: https://spec.matrix.org/v1.19/client-server-api/#mspacechild
"""

import re
from collections.abc import Iterable
from typing import Final

from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import parse_room_id

__all__ = ["CHILD", "SPACE", "in_order", "is_child", "is_suggested", "order_of"]

SPACE: Final = "m.space"
CHILD: Final = "m.space.child"

_ORDER = re.compile(r"[\x20-\x7E]{1,50}")


def is_child(event: Event) -> bool:
    """Say whether the event makes a room a child: it names a room, and servers that know it."""
    via = event.content.get("via")
    if not isinstance(via, list) or not via or not all(isinstance(name, str) for name in via):
        return False
    try:
        parse_room_id(event.state_key or "")
    except ValueError:
        return False
    return True


def is_suggested(event: Event) -> bool:
    """Say whether the space recommends the child."""
    return event.content.get("suggested") is True


def order_of(event: Event) -> str | None:
    """Read where among its siblings the child belongs; None if the content has nothing that says so."""
    order = event.content.get("order")
    return order if isinstance(order, str) and _ORDER.fullmatch(order) else None


def in_order(children: Iterable[Event]) -> list[Event]:
    """Sort children: those with an order by it, then the others; equals by time and at last by room ID.

    Spec: https://spec.matrix.org/v1.19/client-server-api/#ordering-of-children-within-a-space
    """

    def place(child: Event) -> tuple[bool, str, int, str]:
        order = order_of(child)
        return order is None, order or "", child.origin_server_ts, child.state_key or ""

    return sorted(children, key=place)
