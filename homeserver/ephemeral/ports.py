"""What the live parts of rooms need of others: implemented beside, joined in `homeserver.app.build`."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

__all__ = ["NoteActivity", "PresenceAudience", "ReadMarkerWriter"]

NoteActivity = Callable[[str, str | None], None]
"""Is told that a user did something on a device."""


class PresenceAudience(Protocol):
    """Knows who is to be told of whom."""

    def admit(self, user_id: str) -> Coroutine[Any, Any, object]:
        """Get to know the rooms of a user, whose presence is about to change."""


class ReadMarkerWriter(Protocol):
    """Keeps how far users say that they have read everything: account data that only the server sets."""

    def set_fully_read(self, user_id: str, room_id: str, event_id: str) -> Coroutine[Any, Any, None]:
        """Set the marker; it is durable on return."""
