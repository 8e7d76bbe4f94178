"""One active room: all that composing its next event needs, in memory.

The actor is the room's single writer. A command is carried out in one step of the event loop, without an
await between looking at the state and handing the write to the journal, so the loop itself is its mailbox.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from homeserver.core.auth.selection import StateKey
from homeserver.core.content.history_visibility import history_visibility_of
from homeserver.core.content.member import membership_of
from homeserver.core.content.power_levels import PowerLevels
from homeserver.core.event.pdu import Event
from homeserver.core.room_versions import RoomVersionRules
from homeserver.rooms.room_state import RoomState
from storage.state_chain import StateChain
from storage.tables.events import EventNumbers

__all__ = ["Extremity", "RoomActor", "StateEntry", "Step", "StoredRoom"]


@dataclass(frozen=True, slots=True)
class Extremity:
    """An end of a room's graph.

    Attributes:
        event: the event that no other names as its predecessor yet.
        group: the state after it.
    """

    event: Event
    group: int


@dataclass(frozen=True, slots=True)
class StateEntry:
    """What the current state has, from now on, for one type and state key.

    Attributes:
        key: type and state key.
        numbers: what storage calls them; of a member event, the user as well.
        event: the event; None if the state has lost what it had.
        nid: the number of the event; 0 for None.
    """

    key: StateKey
    numbers: EventNumbers
    event: Event | None
    nid: int


@dataclass(frozen=True, slots=True)
class Step:
    """What an event makes of its room.

    Attributes:
        event: the event.
        position: its place.
        chain: the current state after it.
        entries: what has changed of that.
        extremities: the ends of the graph after it.
    """

    event: Event
    position: int
    chain: StateChain
    entries: Sequence[StateEntry]
    extremities: tuple[Extremity, ...]


@dataclass(frozen=True, slots=True)
class StoredRoom:
    """A room as storage has it; see `RoomActor`."""

    chain: StateChain
    extremities: tuple[Extremity, ...]
    last_position: int
    retention_class: int


class RoomActor:
    """A room in memory; only `homeserver.rooms.registry` and the commands that run under it change it.

    Attributes:
        room_id: as clients name it; empty until the create event is there, if the ID follows from that.
        room_nid: as storage numbers it.
        rules: of the room's version.
        state: the current state, so far as it is at hand.
        chain: the current state as storage knows it.
        extremities: the ends of the graph.
        depth: the greatest depth.
        last_position: of the last event.
        retention_class: of its timeline events.
        writes_in_flight: handed to the journal, not yet committed.
        last_commit: the future of the last of those.
        gate: events of ours wait for it, if there is one.
    """

    __slots__ = (
        "chain", "depth", "extremities", "gate", "last_commit", "last_position", "retention_class", "room_id",
        "room_nid", "rules", "state", "writes_in_flight",
    )  # fmt: skip

    def __init__(
        self, room_id: str, room_nid: int, rules: RoomVersionRules, stored: StoredRoom | None = None
    ) -> None:
        """Take a room as storage has it, or one that is being made."""
        self.room_id = room_id
        self.room_nid = room_nid
        self.rules = rules
        self.state = RoomState(is_whole=stored is None)
        self.chain = StateChain() if stored is None else stored.chain
        self.extremities = () if stored is None else stored.extremities
        self.depth = max((one.event.depth for one in self.extremities), default=0)
        self.last_position = 0 if stored is None else stored.last_position
        self.retention_class = 0 if stored is None else stored.retention_class
        self.writes_in_flight = 0
        self.last_commit: asyncio.Future[None] | None = None
        self.gate: asyncio.Future[None] | None = None

    def advance(self, step: Step) -> None:
        """Take in an event."""
        self.extremities = step.extremities
        self.depth = max(one.event.depth for one in step.extremities)
        self.last_position = step.position
        self.chain = step.chain
        for entry in step.entries:
            self.state.put(entry.key, entry.event, entry.nid)
        if not self.room_id:
            self.room_id = step.event.room_id

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
