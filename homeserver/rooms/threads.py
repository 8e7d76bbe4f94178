"""Reading the threads of a room.

Spec: https://spec.matrix.org/v1.19/client-server-api/#querying-threads-in-a-room
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from homeserver.core.positions import pagination_token
from homeserver.core.requester import Requester
from homeserver.rooms.client_events import ClientEvents
from homeserver.rooms.timeline import Timeline, VisibleRoom
from storage.tables.events import StoredEvent
from storage.tables.relations import Asked, Relations, ThreadsPage

__all__ = ["THREADS_MAX", "ThreadReads", "ThreadRoots"]

THREADS_MAX = 100
_SCANS_MAX = 10
_SCAN_THREADS_MAX = 500


@dataclass(frozen=True, slots=True)
class ThreadRoots:
    """A page of threads.

    Attributes:
        chunk: the roots, encoded; the one of the thread with the latest event first.
        next_batch: token of where to go on; None if there is nothing more.
    """

    chunk: Sequence[bytes]
    next_batch: str | None


class ThreadReads:
    """Reads threads for those who may see them.

    Args:
        timeline: what there is to see.
        relations: what points at what.
        client_events: encodes events.
    """

    def __init__(self, *, timeline: Timeline, relations: Relations, client_events: ClientEvents) -> None:
        self._timeline = timeline
        self._relations = relations
        self._client_events = client_events

    async def page(self, requester: Requester, room_id: str, asked: ThreadsPage) -> ThreadRoots:
        """Read a page of the threads of a room.

        Raises:
            Forbidden: the user may not see the room.
        """
        room = await self._timeline.room(requester, room_id)
        found, place = await self._scan(room, asked)
        shown = [_as_seen(root, room) for root in found]
        chunk = await self._client_events.encode(shown, requester, room.history, until=room.view.until)
        return ThreadRoots(chunk, None if place is None else pagination_token(place))

    async def _scan(self, room: VisibleRoom, asked: ThreadsPage) -> tuple[list[StoredEvent], int | None]:
        """The roots of the page, and where to go on."""
        whose = Asked(room.requester.user_id, room.view.until, room.ignored)
        found: list[StoredEvent] = []
        place, count = asked.start, asked.limit + 1
        for _ in range(_SCANS_MAX):
            page = await self._relations.threads(
                room.room_nid, replace(asked, start=place, limit=count), whose
            )
            visible = await self._timeline.events(room, [row.root_id for row in page.threads])
            for row in page.threads:
                root = visible.get(row.root_id)
                if root is not None:
                    if len(found) == asked.limit:
                        return found, place
                    found.append(root)
                place = row.position - 1
            place = page.place
            if place is None:
                break
            count = min(2 * count, _SCAN_THREADS_MAX)
        return found, place


def _as_seen(root: StoredEvent, room: VisibleRoom) -> StoredEvent:
    """A root as its reader sees it: redacted if an ignored user sent it, since the thread is shown."""
    return root._replace(event=root.event.pruned()) if root.event.sender in room.ignored else root
