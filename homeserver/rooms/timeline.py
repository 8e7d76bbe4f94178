"""Stretches of a room's timeline, so far as somebody may see it and wants to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from homeserver.core.errors import InvalidParam, NotFound
from homeserver.core.event.format import client_event
from homeserver.core.filters import RoomEventFilter, event_passes, room_passes
from homeserver.core.positions import SyncToken, parse_pagination_token
from homeserver.core.requester import Requester
from homeserver.core.visibility import VisibleHistory
from homeserver.rooms.ports import IgnoredUsersReader
from homeserver.rooms.sight import RoomView, Sight
from storage.tables.events import HIDDEN, Direction, Events, StoredEvent
from storage.tables.state import State
from storage.tables.timeline_filter import TimelineFilter

__all__ = ["PAGE_EVENTS_MAX", "Stretch", "Timeline", "VisibleRoom", "position_of"]

PAGE_EVENTS_MAX = 1_000
_SCANS_MAX = 10
"""A filter that lets hardly anything through ends a page early, with a token that goes on from there."""
_NO_EVENT = "There is no such event in this room, or you may not see it."
_MEMBER = "m.room.member"


@dataclass(frozen=True, slots=True)
class VisibleRoom:
    """A room, for one reader.

    Attributes:
        requester: the reader.
        view: the room as they may see it.
        history: what of its timeline they may see.
        ignored: the users whose message events they do not want.
    """

    requester: Requester
    view: RoomView
    history: VisibleHistory
    ignored: frozenset[str]

    @property
    def room_nid(self) -> int:
        """The room's number."""
        return self.view.room.room_nid


@dataclass(frozen=True, slots=True)
class Stretch:
    """Which events of a timeline. A position stands for the gap just after the event that has it.

    Attributes:
        direction: `b` into the past, `f` towards now.
        start: where from.
        stop: where to stop, if at all.
        limit: at most so many.
        wanted: which events.
    """

    direction: Direction
    start: int
    stop: int | None
    limit: int
    wanted: RoomEventFilter


def position_of(token: str) -> int:
    """The place in a timeline that a pagination token or a sync token means.

    Raises:
        InvalidParam: it is neither.
    """
    try:
        if token.startswith("p"):
            return parse_pagination_token(token)
        return SyncToken.parse(token).highest
    except ValueError as error:
        raise InvalidParam(str(error)) from None


class Timeline:
    """Reads timelines.

    Args:
        sight: who may see what.
        events: the events.
        state: for members.
        ignored_users: whom readers do not want to hear.
    """

    def __init__(
        self, *, sight: Sight, events: Events, state: State, ignored_users: IgnoredUsersReader
    ) -> None:
        self._sight = sight
        self._events = events
        self._state = state
        self._ignored_users = ignored_users

    async def room(self, requester: Requester, room_id: str) -> VisibleRoom:
        """A room as a reader may see it.

        Raises:
            Forbidden: they may not see it at all.
        """
        view = await self._sight.view(room_id, requester.user_id)
        history = await self._sight.visible_history(view.room, requester.user_id)
        return VisibleRoom(requester, view, history, await self._ignored_users.ignored_by(requester.user_id))

    async def event(self, room: VisibleRoom, event_id: str) -> StoredEvent:
        """One event of a room.

        Raises:
            NotFound: there is none, or not for this reader.
        """
        stored = await self._events.by_id(event_id)
        mine = [stored] if stored is not None and stored.room_nid == room.room_nid else []
        for shown in await self.visible(room, mine):
            return shown
        raise NotFound(_NO_EVENT)

    async def events(self, room: VisibleRoom, event_ids: Sequence[str]) -> Mapping[str, StoredEvent]:
        """Those of several events that the reader may see, by ID."""
        found = await self._events.by_ids(event_ids)
        mine = [one for one in found.values() if one.room_nid == room.room_nid]
        return {one.event.event_id: one for one in await self.visible(room, mine)}

    async def visible(self, room: VisibleRoom, stored: Sequence[StoredEvent]) -> list[StoredEvent]:
        """Those of several events of a room that the reader may see, in their order."""
        shown = [one for one in stored if not one.flags & HIDDEN]
        return await self._sight.visible(room.history, shown)

    async def first_position(self, room: VisibleRoom) -> int:
        """The place before the first event of a room."""
        first = await self._events.page(room.room_nid, None, "f", 1)
        return first[0].position - 1 if first else 0

    async def last_position(self, room: VisibleRoom) -> int:
        """The place after the last event of a room that there is for the reader."""
        if room.view.until is not None:
            return room.view.until
        latest = await self._events.latest(room.room_nid, 1)
        return latest[0].position if latest else 0

    async def read(self, room: VisibleRoom, stretch: Stretch) -> tuple[list[StoredEvent], int | None]:
        """Read a stretch; returns its events, and where to go on, if there is more."""
        wanted, limit = stretch.wanted, stretch.limit
        if limit == 0:
            return [], stretch.start
        if not room_passes(wanted, room.view.room.room_id):
            return [], None
        in_sql = TimelineFilter.of(wanted, room.ignored)
        found: list[StoredEvent] = []
        place, count = stretch.start, limit + 1
        # Towards the past, a token stands just after the event that has its position.
        beyond = 1 if stretch.direction == "b" else 0
        for _ in range(_SCANS_MAX):
            rows = await self._events.page(
                room.room_nid, place, stretch.direction, count, to_position=stretch.stop, wanted=in_sql
            )
            visible = {one.position: one for one in await self.visible(room, rows)}
            for row in rows:
                shown = visible.get(row.position)
                if shown is not None and _passes(wanted, room, shown):
                    if len(found) == limit:
                        return found, place
                    found.append(shown)
                place = row.position - beyond
            if len(rows) < count:
                return found, None
            count = min(2 * count, PAGE_EVENTS_MAX)
        return found, place

    async def members(self, room: VisibleRoom, shown: Sequence[StoredEvent]) -> list[bytes]:
        """The member events of those who sent what is shown, as of the last of it, encoded."""
        if not shown:
            return []
        senders = sorted({one.event.sender for one in shown})
        last = max(shown, key=lambda one: one.position)
        latest = last.position
        if latest < 0:  # the changes of the state begin with what is here
            keys = [(_MEMBER, sender) for sender in senders]
            return [client_event(event) for event in (await self._sight.state_after(last, keys)).values()]
        members = await self._state.at_of_keys(
            room.room_nid, latest, [(_MEMBER, sender) for sender in senders]
        )
        return [client_event(one.event) for one in members]


def _passes(wanted: RoomEventFilter, room: VisibleRoom, row: StoredEvent) -> bool:
    event = row.event
    if event.sender in room.ignored and event.state_key is None:
        return False
    return event_passes(wanted, event.type, event.sender, event.content)
