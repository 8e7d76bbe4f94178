"""Reading a room's timeline: pages of messages, and single events.

Spec: https://spec.matrix.org/v1.19/client-server-api/#getting-events-for-a-room
"""

from collections.abc import Sequence
from dataclasses import dataclass

from homeserver.core.errors import Forbidden, NotFound
from homeserver.core.filters import RoomEventFilter
from homeserver.core.positions import pagination_token
from homeserver.core.requester import Requester
from homeserver.rooms.client_events import ClientEvents
from homeserver.rooms.past import OlderHistory, Past
from homeserver.rooms.timeline import PAGE_EVENTS_MAX, Stretch, Timeline, VisibleRoom, position_of
from storage.tables.events import Direction, StoredEvent

__all__ = ["PAGE_EVENTS_MAX", "History", "Page", "PageRequest", "position_of"]

FETCHES_PER_PAGE_MAX = 3
"""Of what is older than all that is here."""

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


class History:
    """Reads timelines for their readers.

    Args:
        timeline: what there is to see.
        client_events: encodes it.
        older: has what is older than all that is here.
    """

    def __init__(
        self, *, timeline: Timeline, client_events: ClientEvents, older: OlderHistory
    ) -> None:
        self._timeline = timeline
        self._older = older
        self._client_events = client_events

    async def page(self, requester: Requester, room_id: str, request: PageRequest) -> Page:
        """Read a page of a room's timeline.

        Raises:
            Forbidden: the user may not see the room.
        """
        room = await self._timeline.room(requester, room_id)
        start = request.start
        if start is None and request.direction == "f":
            start = await self._timeline.first_position(room)
        elif start is None:
            start = await self._timeline.last_position(room)
        stretch = Stretch(request.direction, start, request.stop, request.limit, request.wanted)
        found, end = await self._read(room, stretch)
        chunk = await self._client_events.encode(found, requester, room.history, until=room.view.until)
        members: list[bytes] = []
        if request.wanted.lazy_load_members:
            members = await self._timeline.members(room, found)
        return Page(pagination_token(start), None if end is None else pagination_token(end), chunk, members)

    async def _read(self, room: VisibleRoom, stretch: Stretch) -> tuple[list[StoredEvent], int | None]:
        """Read a stretch; where it leads back beyond what is here, ask for more."""
        found, end = await self._timeline.read(room, stretch)
        if stretch.direction == "f" or stretch.stop is not None:
            return found, end
        past = Past.MORE
        for _ in range(FETCHES_PER_PAGE_MAX):
            if end is not None or past is not Past.MORE:
                break
            past = await self._older.fetch(room.view.room.room_id)
            if past is Past.MORE:
                found, end = await self._timeline.read(room, stretch)
        if end is None and past is not Past.NOTHING:
            # There is more, for another time.
            end = min(stretch.start, await self._timeline.first_position(room))
        return found, end

    async def event(self, requester: Requester, room_id: str, event_id: str) -> bytes:
        """Read one event.

        Raises:
            NotFound: there is none, or not for this user.
        """
        try:
            room = await self._timeline.room(requester, room_id)
        except Forbidden:
            raise NotFound("There is no such event in this room, or you may not see it.") from None
        stored = await self._timeline.event(room, event_id)
        (encoded,) = await self._client_events.encode(
            [stored], requester, room.history, until=room.view.until
        )
        return encoded
