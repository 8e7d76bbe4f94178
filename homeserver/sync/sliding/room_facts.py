"""What lists are sorted and filtered by: read once for many rooms, then kept current from the bus."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from homeserver.cluster.bus import Bus
from homeserver.core.changes import Change, EventChange
from homeserver.core.content.space import CHILD, is_child
from homeserver.core.event.pdu import Event
from homeserver.core.positions import POSITION_MAX
from homeserver.sync.sliding.ports import SlidingReads

__all__ = ["RoomFacts", "Traits"]

ROOMS_MAX = 50_000
CREATE, ENCRYPTION, NAME = "m.room.create", "m.room.encryption", "m.room.name"
MEMBER = "m.room.member"
_DESCRIBING = (CREATE, ENCRYPTION, NAME)
_HEEDED = frozenset({*_DESCRIBING, CHILD})


@dataclass(slots=True)
class Traits:
    """What filters ask about a room.

    Attributes:
        is_known: its state is known here at all.
        room_type: `type` of its create event.
        is_encrypted: it has encryption.
        name: its name, lower case; empty for none.
        children: of a space, the rooms that it names; None if nobody has asked yet.
    """

    is_known: bool = False
    room_type: str | None = None
    is_encrypted: bool = False
    name: str = ""
    children: frozenset[str] | None = None


@dataclass(slots=True)
class _Reading:
    """Rooms that are being read, and those of them that changed meanwhile."""

    rooms: Collection[str]
    changed: set[str] = field(default_factory=set)
    last: dict[str, int] = field(default_factory=dict)


class RoomFacts:
    """Knows the last event of rooms, and their traits; of very many rooms, those that were read last."""

    def __init__(self, reads: SlidingReads, bus: Bus, *, rooms_max: int = ROOMS_MAX) -> None:
        self._reads = reads
        self._rooms_max = rooms_max
        self._last: OrderedDict[str, int] = OrderedDict()
        self._traits: OrderedDict[str, Traits] = OrderedDict()
        self._readings: list[_Reading] = []
        self._unsubscribe: Callable[[], None] = bus.subscribe(self.take_in)

    def stop(self) -> None:
        """Follow the bus no more."""
        self._unsubscribe()

    def take_in(self, changes: Sequence[Change]) -> None:
        """Take note of one commit."""
        for change in changes:
            if not isinstance(change, EventChange) or change.is_withheld:
                continue
            room_id = change.room_id
            if room_id in self._last:
                self._last[room_id] = change.position
            for reading in self._readings:
                if room_id in reading.rooms:
                    reading.last[room_id] = change.position
            event_type = change.event.type
            touched = change.event.state_key is not None and event_type in _HEEDED
            if event_type == MEMBER and room_id in self._traits:
                touched = not self._traits[room_id].is_known  # somebody may have told of it now
            if touched or change.resets or change.removed:
                self._forget(room_id)

    def _forget(self, room_id: str) -> None:
        # It seldom changes: whoever asks next reads it again.
        self._traits.pop(room_id, None)
        for reading in self._readings:
            if room_id in reading.rooms:
                reading.changed.add(room_id)

    async def last_events(self, room_ids: Collection[str]) -> Mapping[str, int]:
        """The position of the newest event of each room."""
        last = self._last
        missing = {room_id for room_id in room_ids if room_id not in last}
        if not missing:
            return last
        reading = _Reading(missing)
        self._readings.append(reading)
        try:
            rows = await self._reads.last_events(missing)
        finally:
            self._readings.remove(reading)
        for room_id in missing:
            last[room_id] = max(rows.get(room_id, 0), reading.last.get(room_id, 0), last.get(room_id, 0))
        known = {room_id: last.get(room_id, 0) for room_id in room_ids}
        _shorten(last, self._rooms_max)
        return known

    async def traits(self, room_ids: Collection[str]) -> Mapping[str, Traits]:
        """The traits of rooms, children of spaces excepted."""
        known = self._traits
        missing = {room_id for room_id in room_ids if room_id not in known}
        if not missing:
            return known
        reading = _Reading(missing)
        self._readings.append(reading)
        try:
            read = _traits_in(missing, await self._reads.described(missing, _DESCRIBING))
            unknown = [room_id for room_id, traits in read.items() if not traits.is_known]
            if unknown:  # those that are not here
                _add_offered(read, await self._reads.offered(unknown))
        finally:
            self._readings.remove(reading)
        found = {room_id: known[room_id] for room_id in room_ids if room_id in known} | read
        for room_id, traits in read.items():
            if room_id not in reading.changed:
                known[room_id] = traits
        _shorten(known, self._rooms_max)
        return found

    async def children(self, space_id: str) -> frozenset[str]:
        """The rooms that a space names, with servers that know them."""
        traits = (await self.traits([space_id]))[space_id]
        children = traits.children
        if children is None:
            events = await self._reads.state_of_types(space_id, POSITION_MAX, (CHILD,))
            children = frozenset([event.state_key or "" for event in events if is_child(event)])
            traits.children = children  # if the space changed meanwhile, these traits are remembered no more
        return children


def _traits_in(room_ids: Iterable[str], events: Iterable[Event]) -> dict[str, Traits]:
    found = {room_id: Traits() for room_id in room_ids}
    for event in events:
        _describe(found[event.room_id], event.type, event.content)
    return found


def _add_offered(traits: Mapping[str, Traits], offered: Mapping[str, bytes]) -> None:
    for room_id, stripped in offered.items():
        for entry in orjson.loads(stripped):
            if entry["state_key"] == "":
                _describe(traits[room_id], entry["type"], entry["content"])


def _describe(traits: Traits, event_type: str, content: dict[str, Any]) -> None:
    if event_type == CREATE:
        traits.is_known = True
        room_type = content.get("type")
        traits.room_type = room_type if isinstance(room_type, str) else None
    elif event_type == ENCRYPTION:
        traits.is_encrypted = True
    elif event_type == NAME:
        name = content.get("name")
        traits.name = name.lower() if isinstance(name, str) else ""


def _shorten(known: "OrderedDict[str, int] | OrderedDict[str, Traits]", rooms_max: int) -> None:
    while len(known) > rooms_max:
        known.popitem(last=False)
