"""What sliding sync reads beyond what every sync reads."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from homeserver.core.changes import ReceiptChange
from homeserver.core.event.pdu import Event
from storage.tables.sliding_connections import ConnectionKey, ConnectionRow

__all__ = ["KeptConnections", "SlidingReads", "Wanted"]

Wanted = tuple[Collection[str], Collection[tuple[str, str]]]
"""Types of state, and single pieces of it by type and state key."""


class SlidingReads(Protocol):
    """Reads of many rooms at once, and of pieces of the state of one."""

    async def last_events(self, room_ids: Collection[str]) -> Mapping[str, int]:
        """The position of the last event of each room."""

    async def described(self, room_ids: Collection[str], types: Collection[str]) -> Sequence[Event]:
        """The current state of rooms that has one of these types and an empty state key."""

    async def offered(self, room_ids: Collection[str]) -> Mapping[str, bytes]:
        """What was told last of those rooms that are not here: stripped state, as a JSON array."""

    async def own_member_events(self, user_id: str, room_ids: Collection[str]) -> Mapping[str, Event]:
        """The member event that says what a user is to each of these rooms, by room."""

    async def current_state(self, wanted: Mapping[str, Wanted]) -> Sequence[tuple[int, Event]]:
        """The current state of rooms that is wanted of each, and the position of each event."""

    async def receipts_shown(
        self, room_ids: Collection[str], user_id: str, event_ids: Collection[str]
    ) -> Sequence[ReceiptChange]:
        """A user's own receipts in rooms, and others' that are on some events, by position."""

    async def state_of_types(self, room_id: str, position: int, types: Collection[str]) -> Sequence[Event]:
        """The state of a room just after `position` that has one of these types."""

    async def state_of_keys(
        self, room_id: str, position: int, keys: Collection[tuple[str, str]]
    ) -> Sequence[Event]:
        """The state of a room just after `position` that has one of these types and state keys."""


class KeptConnections(Protocol):
    """Connections that outlast the process."""

    async def read(self, key: ConnectionKey, pos: str) -> bytes | None:
        """The snapshot of a connection that has a place of this name."""

    async def save(self, rows: Sequence[ConnectionRow], gone: Sequence[ConnectionKey], now_ms: int) -> None:
        """Keep connections, and forget others; of a session no more than it may have."""
