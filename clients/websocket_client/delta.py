"""What happened, as the sync stream tells it.

Spec: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Delta", "RoomEvent"]


@dataclass(frozen=True, slots=True)
class RoomEvent:
    """An event of a room's timeline, as a client is shown it; what a malformed one lacks is empty.

    Attributes:
        event: all of it.
    """

    room_id: str
    event: dict[str, Any]

    @property
    def event_id(self) -> str:
        """Its ID."""
        return str(self.event.get("event_id", ""))

    @property
    def type(self) -> str:
        """Its type, such as `m.room.message`."""
        return str(self.event.get("type", ""))

    @property
    def sender(self) -> str:
        """Who sent it."""
        return str(self.event.get("sender", ""))

    @property
    def content(self) -> dict[str, Any]:
        """Its content."""
        content = self.event.get("content")
        return content if isinstance(content, dict) else {}

    @property
    def body(self) -> str:
        """The text of a message, for those who cannot show more."""
        body = self.content.get("body")
        return body if isinstance(body, str) else ""


@dataclass(frozen=True, slots=True)
class Delta:
    """One delta of the sync stream.

    Attributes:
        body: all of it, in the shape of a `/sync` response.
    """

    body: dict[str, Any]

    @property
    def token(self) -> str:
        """What to start behind, to go on after this delta."""
        return str(self.body["next_batch"])

    @property
    def joined(self) -> dict[str, dict[str, Any]]:
        """Rooms that the user is in, by ID; only those that have news."""
        return self._rooms("join")

    @property
    def invited(self) -> dict[str, dict[str, Any]]:
        """Rooms that the user was invited to, by ID."""
        return self._rooms("invite")

    @property
    def left(self) -> dict[str, dict[str, Any]]:
        """Rooms that the user left or was thrown out of, by ID."""
        return self._rooms("leave")

    @property
    def thread_subscriptions(self) -> dict[str, Any]:
        """Threads that the user follows (`subscribed`) or no more (`unsubscribed`), by room and root."""
        threads: dict[str, Any] = self.body.get("io.element.msc4308.thread_subscriptions", {})
        return threads

    def timeline(self) -> Iterator[RoomEvent]:
        """The new events of the rooms that the user is in; in order within each room."""
        for room_id, room in self.joined.items():
            for event in room.get("timeline", {}).get("events", ()):
                yield RoomEvent(room_id, event)

    def _rooms(self, section: str) -> dict[str, dict[str, Any]]:
        rooms: dict[str, dict[str, Any]] = self.body.get("rooms", {}).get(section, {})
        return rooms
