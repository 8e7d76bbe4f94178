"""Reading a room's timeline: pages of messages, and single events.

Spec: https://spec.matrix.org/v1.19/client-server-api/#getting-events-for-a-room
"""

from collections.abc import Sequence
from dataclasses import dataclass

from homeserver.core.errors import InvalidParam, NotFound
from homeserver.core.event.format import client_event
from homeserver.core.filters import RoomEventFilter, event_passes, room_passes
from homeserver.core.positions import SyncToken, pagination_token, parse_pagination_token
from homeserver.core.requester import Requester
from homeserver.core.visibility import VisibleHistory
from homeserver.rooms.client_events import ClientEvents
from homeserver.rooms.sight import RoomView, Sight
from storage.tables.events import Direction, EventFilter, Events, StoredEvent
from storage.tables.state import State

__all__ = ["PAGE_EVENTS_MAX", "History", "Page", "PageRequest", "position_of"]

PAGE_EVENTS_MAX = 1_000
_SCANS_MAX = 10
"""A filter that lets hardly anything through ends a page early, with a token that goes on from there."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page that a client asks for.

    Attributes:
        direction: `b` into the past, `f` towards now.
        start: where from; None for the end that the direction leads away from.
        stop: where to stop, if at all.
        limit: at most so many events.
        wanted: which events.
    """

    direction: Direction
    start: int | None
    stop: int | None
    limit: int
    wanted: RoomEventFilter


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a timeline, encoded.

    Attributes:
        start: token of where it began.
        end: token of where to go on; None if there is nothing more.
        chunk: events in the order of the direction.
        state: members that the events make interesting, if asked for.
    """

    start: str
    end: str | None
    chunk: Sequence[bytes]
    state: Sequence[bytes]


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


class History:
    """Reads timelines for their readers.

    Args:
        sight: who may see what.
        events: the events.
        state: for members.
        client_events: encodes them.
    """

    def __init__(self, *, sight: Sight, events: Events, state: State, client_events: ClientEvents) -> None:
        self._sight = sight
        self._events = events
        self._state = state
        self._client_events = client_events

    async def page(self, requester: Requester, room_id: str, request: PageRequest) -> Page:
        """Read a page of a room's timeline.

        Raises:
            Forbidden: the user may not see the room.
        """
        view = await self._sight.view(room_id, requester.user_id)
        history = await self._sight.visible_history(view.room, requester.user_id)
        start = await self._start(view, request)
        found, end = await self._scan(view, request, history, start)
        chunk = await self._client_events.encode(found, requester, history)
        members: list[bytes] = []
        if request.wanted.lazy_load_members and found:
            members = await self._members(view, found)
        return Page(
            pagination_token(start), None if end is None else pagination_token(end), chunk, members
        )

    async def event(self, requester: Requester, room_id: str, event_id: str) -> bytes:
        """Read one event.

        Raises:
            NotFound: there is none, or not for this user.
        """
        stored = await self._events.by_id(event_id)
        if stored is None or stored.event.room_id != room_id:
            raise NotFound("There is no such event in this room, or you may not see it.")
        view = await self._sight.view(room_id, requester.user_id)
        history = await self._sight.visible_history(view.room, requester.user_id)
        if not history.is_visible(stored.position):
            raise NotFound("There is no such event in this room, or you may not see it.")
        (encoded,) = await self._client_events.encode([stored], requester, history)
        return encoded

    async def _start(self, view: RoomView, request: PageRequest) -> int:
        if request.start is not None:
            return request.start
        if request.direction == "f":
            return 0
        if view.until is not None:
            return view.until
        latest = await self._events.latest(view.room.room_nid, 1)
        return latest[0].position if latest else 0

    async def _scan(
        self, view: RoomView, request: PageRequest, history: VisibleHistory, start: int
    ) -> tuple[list[StoredEvent], int | None]:
        """The events of the page, and where to go on."""
        if not room_passes(request.wanted, view.room.room_id):
            return [], None
        wanted = request.wanted
        in_sql = EventFilter(
            types=wanted.types,
            not_types=wanted.not_types or (),
            senders=wanted.senders,
            not_senders=wanted.not_senders or (),
        )
        found: list[StoredEvent] = []
        place = start
        # Towards the past, a token stands just after the event that has its position.
        beyond = 1 if request.direction == "b" else 0
        for _ in range(_SCANS_MAX):
            rows = await self._events.page(
                view.room.room_nid, place, request.direction, request.limit,
                to_position=request.stop, wanted=in_sql,
            )  # fmt: skip
            for row in rows:
                if len(found) == request.limit:
                    return found, place
                place = row.position - beyond
                event = row.event
                if history.is_visible(row.position) and event_passes(
                    wanted, event.type, event.sender, event.content
                ):
                    found.append(row)
            if len(rows) < request.limit:
                return found, None
            if len(found) == request.limit:
                break
        return found, place

    async def _members(self, view: RoomView, found: Sequence[StoredEvent]) -> list[bytes]:
        senders = sorted({one.event.sender for one in found})
        latest = max(one.position for one in found)
        members = await self._state.at_of_keys(
            view.room.room_nid, latest, [("m.room.member", sender) for sender in senders]
        )
        return [client_event(one.event) for one in members]
