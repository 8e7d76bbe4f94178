"""What the live parts of rooms need of others: implemented beside, joined in `homeserver.app.build`."""

from collections.abc import Coroutine
from typing import Any, Protocol

__all__ = ["ReadMarkerWriter"]


class ReadMarkerWriter(Protocol):
    """Keeps how far users say that they have read everything: account data that only the server sets."""

    def set_fully_read(self, user_id: str, room_id: str, event_id: str) -> Coroutine[Any, Any, None]:
        """Set the marker; it is durable on return."""

