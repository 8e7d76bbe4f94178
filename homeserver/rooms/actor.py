"""One active room: all that composing its next event needs, in memory.

The actor is the room's single writer. A command is carried out in one step of the event loop, without an
await between looking at the state and handing the write to the journal, so the loop itself is its mailbox.
"""

import asyncio
from collections.abc import Iterable

from homeserver.core.auth.selection import StateKey
from homeserver.core.content.history_visibility import history_visibility_of
from homeserver.core.content.member import membership_of
from homeserver.core.content.power_levels import PowerLevels
from homeserver.core.event.builder import Reference
from homeserver.core.event.pdu import Event
from homeserver.core.room_versions import RoomVersionRules

__all__ = ["RoomActor"]


class RoomActor:
    """A room in memory; only `homeserver.rooms.registry` and the commands that run under it change it.

    Attributes:
        room_id: as clients name it; empty until the create event is there, if the ID follows from that.
        room_nid: as storage numbers it.
        rules: of the room's version.
        state: the current state.
        extremities: the ends of the graph.
        depth: the greatest depth.
        last_position: of the last event.
        writes_in_flight: handed to the journal, not yet committed.
        last_commit: the future of the last of those.
    """

    __slots__ = (
        "depth", "extremities", "last_commit", "last_position", "room_id", "room_nid", "rules", "state",
        "writes_in_flight",
    )  # fmt: skip

    def __init__(
        self, room_id: str, room_nid: int, rules: RoomVersionRules, *, state: Iterable[Event] = (),
        extremities: tuple[Reference, ...] = (), depth: int = 0, last_position: int = 0,
    ) -> None:  # fmt: skip
        self.room_id = room_id
        self.room_nid = room_nid
        self.rules = rules
        self.state: dict[StateKey, Event] = {(event.type, event.state_key or ""): event for event in state}
        self.extremities = extremities
        self.depth = depth
        self.last_position = last_position
        self.writes_in_flight = 0
        self.last_commit: asyncio.Future[None] | None = None

    def advance(self, event: Event, position: int) -> None:
        """Take in an event that was composed on top of all before it."""
        self.extremities = (event,)
        self.depth = event.depth
        self.last_position = position
        if event.state_key is not None:
            self.state[event.type, event.state_key] = event
        if not self.room_id:
            self.room_id = event.room_id

    def member(self, user_id: str) -> Event | None:
        """The user's member event."""
        return self.state.get(("m.room.member", user_id))

    def membership(self, user_id: str) -> str:
        """The user's membership; `leave` for one who has none."""
        return membership_of(self.member(user_id))

    @property
    def create(self) -> Event | None:
        """The event that made the room."""
        return self.state.get(("m.room.create", ""))

    @property
    def power_levels(self) -> PowerLevels:
        """The power levels in force."""
        return PowerLevels.of(self.state.get(("m.room.power_levels", "")), self.create, self.rules)

    @property
    def history_visibility(self) -> str:
        """The history visibility in force."""
        return history_visibility_of(self.state.get(("m.room.history_visibility", "")))
