"""The state of one room that a connection wants and lacks, members as the timeline needs them included."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from homeserver.core.event.pdu import Event
from homeserver.core.positions import SyncToken
from homeserver.sync.ports import SyncReads
from homeserver.sync.request import Window
from homeserver.sync.room_cache import RoomCache
from homeserver.sync.sliding.connections import RoomSent
from homeserver.sync.sliding.ports import SlidingReads, Wanted
from homeserver.sync.sliding.room_config import MEMBER, Required, RoomConfig
from homeserver.sync.timeline import Timeline
from homeserver.sync.timeline_event import TimelineEvent

__all__ = ["Asked", "RequiredStates", "Told"]

LAZY_PER_ROOM_MAX = 1_000
NAME, AVATAR = ("m.room.name", ""), ("m.room.avatar", "")
Key = tuple[str, str]


@dataclass(slots=True)
class Told:
    """The state that is told of a room.

    Attributes:
        events: what was asked for.
        changed: all that changed, asked for or not; None if the room is told whole.
        known: state that was read on the way, asked for or not.
        lazy: whose member events the connection has because of lazy loading, from now on.
    """

    events: list[Event]
    changed: dict[Key, Event] | None
    known: dict[Key, Event] = field(default_factory=dict)
    lazy: tuple[str, ...] = ()


@dataclass(slots=True)
class Asked:
    """A room that is new to the connection.

    Attributes:
        room_id: which.
        timeline: what is told of it.
        config: what is wanted.
        further: pieces of state that are needed beside.
    """

    room_id: str
    timeline: Timeline
    config: RoomConfig
    further: Collection[Key]

    def lazy(self) -> set[str]:
        """Those whose member events the timeline needs."""
        return _people_of(self.timeline) if self.config.required.is_lazy else set()

    def keys(self) -> set[Key]:
        """The single pieces of state that are read, whatever else is wanted."""
        return {NAME, AVATAR, *self.further, *((MEMBER, user_id) for user_id in self.lazy())}


class RequiredStates:
    """Finds required state."""

    def __init__(self, reads: SyncReads, sliding_reads: SlidingReads, cache: RoomCache) -> None:
        self._reads = reads
        self._sliding_reads = sliding_reads
        self._cache = cache

    async def ahead(self, now: SyncToken, asked: Iterable[Asked]) -> dict[str, dict[Key, Event]]:
        """What is wanted of rooms that are new to the connection, of all in one read, as far as that goes.

        Left out are rooms of which more is wanted than single types and keys, and those of which something is
        read that is not published yet: they are read by themselves.
        """
        wanted: dict[str, Wanted] = {}
        for one in asked:
            required = one.config.required
            if not (required.is_all or required.state_keys or MEMBER in required.types):
                keys = required.keys | one.keys()
                wanted[one.room_id] = required.types, keys
        if not wanted:
            return {}
        found: dict[str, dict[Key, Event]] = {room_id: {} for room_id in wanted}
        for position, event in await self._sliding_reads.current_state(wanted):
            if not now.covers(position):
                found.pop(event.room_id, None)
            elif event.room_id in found:
                found[event.room_id][event.type, event.state_key or ""] = event
        return found

    async def complete(self, asked: Asked, known: dict[Key, Event] | None = None) -> Told:
        """All that is wanted of a room that is new to the connection; name and avatar are read with it.

        Args:
            asked: what of which room.
            known: what has been read `ahead`.
        """
        required, lazy = asked.config.required, asked.lazy()
        if known is None:
            known = await self._matching(asked.room_id, asked.timeline.end, required, asked.keys())
        events = [
            event
            for (type_, state_key), event in known.items()
            if required.matches(type_, state_key) or (type_ == MEMBER and state_key in lazy)
        ]
        return Told(events, None, known, _bounded((), lazy))

    async def delta(
        self, window: Window, room_id: str, timeline: Timeline, config: RoomConfig, sent: RoomSent,
        *, until: int | None, earlier: Timeline | None,
    ) -> Told:  # fmt: skip
        """What changed of what is wanted, and what is wanted that was not before.

        Args:
            window: from where the client is, up to now.
            room_id: the room.
            timeline: what is told of it.
            config: what is wanted.
            sent: what was told before.
            until: no further than there.
            earlier: what the client has of the timeline, if its people have not been told.
        """
        bound = window.since
        assert bound is not None, "a delta has a beginning"
        changed = await self._changed(room_id, bound, window.now, until)
        told = {key: event for key, event in changed.items() if config.required.matches(*key)}
        grown = config.tuples - sent.required
        if grown:
            wanted = Required.of(grown)
            found = await self._matching(room_id, timeline.end, wanted, ())
            told |= {key: event for key, event in found.items() if wanted.matches(*key)}
        lazy = sent.lazy
        renewed = {state_key for type_, state_key in changed if type_ == MEMBER}
        if renewed:
            # A change that is not told makes what was told stale.
            lazy = tuple([user_id for user_id in lazy if user_id not in renewed])
        if config.required.is_lazy:
            people = _people_of(timeline) | (set() if earlier is None else _people_of(earlier))
            if not timeline.limited:
                people |= renewed
            await self._add_people(room_id, (timeline.end, people), sent, changed, told)
            lazy = _bounded(lazy, people)
        return Told(list(told.values()), changed, told | changed, lazy)

    async def members(self, room_id: str, position: int, keys: Collection[Key]) -> dict[Key, Event]:
        """Pieces of state as of `position`."""
        events = await self._sliding_reads.state_of_keys(room_id, position, keys) if keys else ()
        return {(event.type, event.state_key or ""): event for event in events}

    async def _changed(
        self, room_id: str, bound: SyncToken, now: SyncToken, until: int | None
    ) -> dict[Key, Event]:
        """All state that changed, whatever of the timeline is told: from memory, if it is all there."""
        end = now.highest if until is None else until
        changed: dict[Key, Event] = {}
        recent = self._cache.after(room_id, bound)
        if recent is None:
            rows = await self._reads.state_changes(room_id, bound.lowest, end)
            news = [event for position, event in rows if not bound.covers(position)]
        else:
            news = [
                event
                for shown in recent
                if now.covers(shown.position) and shown.position <= end
                for event in (*_own_state(shown), *shown.resets)
            ]
        for event in news:
            changed[event.type, event.state_key or ""] = event
        return changed

    async def _add_people(
        self, room_id: str, needed: tuple[int, set[str]], sent: RoomSent, changed: dict[Key, Event],
        told: dict[Key, Event],
    ) -> None:  # fmt: skip
        """Add the members that the timeline needs, as of a position, to what is told."""
        position, people = needed
        missing = set()
        for user_id in people:
            key = (MEMBER, user_id)
            if key in told:
                continue
            if key in changed:
                told[key] = changed[key]
            elif user_id not in sent.lazy and key not in sent.required:
                missing.add(key)
        told.update(await self.members(room_id, position, missing))

    async def _matching(
        self, room_id: str, position: int, required: Required, keys: Collection[Key]
    ) -> dict[Key, Event]:
        """State as of `position` that is required or has one of these keys, and maybe more."""
        events: list[Event] = []
        if required.is_all or required.state_keys or MEMBER in required.types:
            events += await self._reads.state_at(room_id, position)  # page by page: it may be very much
        else:
            if required.types:
                events += await self._sliding_reads.state_of_types(room_id, position, required.types)
            every = required.keys | set(keys)
            if every:
                events += await self._sliding_reads.state_of_keys(room_id, position, every)
        return {(event.type, event.state_key or ""): event for event in events}


def _own_state(shown: TimelineEvent) -> tuple[Event, ...]:
    return (shown.event,) if shown.event.state_key is not None and shown.is_current else ()


def _people_of(timeline: Timeline) -> set[str]:
    """Those who speak in a timeline, and those about whom it is."""
    people = {shown.event.sender for shown in timeline.events}
    events = [shown.event for shown in timeline.events]
    people.update([event.state_key for event in events if event.type == MEMBER and event.state_key])
    return people


def _bounded(lazy: tuple[str, ...], people: Collection[str]) -> tuple[str, ...]:
    """Add people; those who spoke longest ago are forgotten, and told again, which does no harm."""
    if all(user_id in lazy for user_id in people):
        return lazy
    return (*[user_id for user_id in lazy if user_id not in people], *people)[-LAZY_PER_ROOM_MAX:]
