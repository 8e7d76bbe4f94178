"""Reading which events point at an event.

Spec: https://spec.matrix.org/v1.19/client-server-api/#relationships-api
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from homeserver.core.errors import Forbidden, NotFound
from homeserver.core.positions import pagination_token
from homeserver.core.requester import Requester
from homeserver.rooms.client_events import ClientEvents
from homeserver.rooms.timeline import Timeline, VisibleRoom
from storage.tables.events import StoredEvent
from storage.tables.relations import Asked, ChildrenPage, Relations

__all__ = ["RELATIONS_MAX", "RelationReads", "RelationsPage"]

RELATIONS_MAX = 500
_SCANS_MAX = 10
_SCAN_EVENTS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class RelationsPage:
    """A page of the events that point at one.

    Attributes:
        chunk: events in the order of the direction, encoded.
        next_batch: token of where to go on; None if there is nothing more.
    """

    chunk: Sequence[bytes]
    next_batch: str | None


class RelationReads:
    """Reads relations for those who may see them.

    Args:
        timeline: what there is to see.
        relations: what points at what.
        client_events: encodes events.
    """

    def __init__(self, *, timeline: Timeline, relations: Relations, client_events: ClientEvents) -> None:
        self._timeline = timeline
        self._relations = relations
        self._client_events = client_events

    async def page(self, requester: Requester, room_id: str, asked: ChildrenPage) -> RelationsPage:
        """Read a page of the events that point at one.

        Raises:
            NotFound: there is no such event, or not for this user.
        """
        try:
            room = await self._timeline.room(requester, room_id)
        except Forbidden:
            raise NotFound("There is no such event in this room, or you may not see it.") from None
        await self._timeline.event(room, asked.parent_id)
        found, place = await self._scan(room, asked)
        chunk = await self._client_events.encode(found, requester, room.history, until=room.view.until)
        return RelationsPage(chunk, None if place is None else pagination_token(place))

    async def _scan(self, room: VisibleRoom, asked: ChildrenPage) -> tuple[list[StoredEvent], int | None]:
        """The events of the page, and where to go on."""
        whose = Asked(room.requester.user_id, room.view.until, room.ignored)
        found: list[StoredEvent] = []
        place, count = asked.start, asked.limit + 1
        # Towards the past, a token stands just after the event that has its position.
        beyond = 1 if asked.direction == "b" else 0
        for _ in range(_SCANS_MAX):
            rows = await self._relations.children(
                room.room_nid, replace(asked, start=place, limit=count), whose
            )
            visible = await self._timeline.events(room, [row.event_id for row in rows])
            for row in rows:
                stored = visible.get(row.event_id)
                if stored is not None and not stored.is_redacted:
                    if len(found) == asked.limit:
                        return found, place
                    found.append(stored)
                place = row.position - beyond
            if len(rows) < count:
                return found, None
            count = min(2 * count, _SCAN_EVENTS_MAX)
        return found, place
