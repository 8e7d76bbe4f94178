"""Asks for the past of rooms that this server came into, when somebody reads back as far as what is here.

Spec: https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from homeserver.core.errors import MatrixError, NotFound, Unavailable
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.older_events import EVENTS_MAX, OlderEvents
from homeserver.rooms.outliers import named, references
from homeserver.rooms.past import Past
from homeserver.rooms.ports import RemoteHistory
from homeserver.rooms.registry import RoomRegistry
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Level, Observation, Observer
from homeserver.runtime.tasks import Tasks
from storage.cache import LruCache
from storage.tables import history_gaps
from storage.tables.queries import Queries

__all__ = ["Backfill", "PastFetched"]

EVENTS_PER_REQUEST_MAX = 100
REQUESTS_PER_ROUND_MAX = 3
MISSING_PER_REQUEST_MAX = 20
SERVERS_TRIED_MAX = 5
SERVERS_KNOWN_MAX = 50
ROUNDS_PER_SEARCH_MAX = 10
WAIT_S = 40.0
REQUEST_TIMEOUT_S = 20.0
SERVER_TIMEOUT_S = 180.0
"""With the states and the auth events that it is asked for."""
PAUSE_MS = 30_000
"""After a round in which nobody told anything of use."""
_ROOMS_KEPT_MAX = 10_000
assert EVENTS_PER_REQUEST_MAX * REQUESTS_PER_ROUND_MAX <= EVENTS_MAX


@dataclass(frozen=True, slots=True)
class PastFetched(Observation):
    """A server told of the past of a room.

    Attributes:
        room_id: the room.
        server: that was asked.
        events: how many have a place here now.
    """

    level: ClassVar[Level] = Level.DEBUG
    room_id: str
    server: str
    events: int


class Backfill:
    """Fetches the past of rooms; of each room once at a time, for all who want it.

    Args:
        registry: the rooms.
        older: checks and places events.
        remote: other servers.
        queries: of what is missing.
        is_near: whether a server is one of our own regions: those are asked first.
        tasks: runs what outlives those who wait.
        clock: for pauses.
        observer: hears what was fetched.
    """

    def __init__(
        self, *, registry: RoomRegistry, older: OlderEvents, remote: RemoteHistory, queries: Queries,
        is_near: Callable[[str], bool], tasks: Tasks, clock: Clock, observer: Observer,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._older = older
        self._remote = remote
        self._queries = queries
        self._is_near = is_near
        self._tasks = tasks
        self._clock = clock
        self._observer = observer
        self._running: dict[str, asyncio.Task[Past]] = {}
        self._whole: LruCache[str, bool] = LruCache(_ROOMS_KEPT_MAX)
        self._paused_until_ms: LruCache[str, int] = LruCache(_ROOMS_KEPT_MAX)

    async def fetch(self, room_id: str) -> Past:
        """Have more of the past of a room here, if there is any.

        For a room whose creation is here: one statement the first time, then none. Else it takes as long as
        another server does, but no longer than `WAIT_S`: then it goes on by itself.
        """
        if self._whole.get(room_id):
            return Past.NOTHING
        running = self._running.get(room_id)
        if running is None:
            running = self._running[room_id] = self._tasks.start(self._round(room_id), "backfill")
            running.add_done_callback(lambda _: self._running.pop(room_id, None))
        try:
            async with asyncio.timeout(WAIT_S):
                return await asyncio.shield(running)
        except TimeoutError:
            return Past.OUT_OF_REACH

    async def find(self, room_id: str, ts_ms: int, direction: Literal["f", "b"]) -> str | None:
        """Have the event here that is closest to a time before all that is here.

        Returns:
            Its ID; None if nobody knows of one, or if it is too far back to be fetched now.
        """
        room = await self._registry.actor(room_id)
        if room.create is None:
            return None
        if not await history_gaps.before_first(self._queries, room.room_nid, room.create.event_id):
            return None
        found = await self._closest(room, ts_ms, direction)
        if found is None:
            return None
        for _ in range(ROUNDS_PER_SEARCH_MAX):
            if await history_gaps.has_place(self._queries, room.room_nid, found):
                return found
            if await self.fetch(room_id) is not Past.MORE:
                break
        return found if await history_gaps.has_place(self._queries, room.room_nid, found) else None

    async def _closest(self, room: RoomActor, ts_ms: int, direction: Literal["f", "b"]) -> str | None:
        for server in (await self._servers(room))[:SERVERS_TRIED_MAX]:
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    found = await self._remote.timestamp_to_event(
                        server, room.room_id, timestamp_ms=ts_ms, direction=direction
                    )
            except (TimeoutError, Unavailable):
                continue
            if found is not None:
                return found[0]
        return None

    async def _servers(self, room: RoomActor) -> list[str]:
        """Name some servers that may know a room's past, those first that had better be asked."""
        found = await history_gaps.servers_of(self._queries, room.room_nid, limit=SERVERS_KNOWN_MAX)
        return sorted(found, key=lambda server: not self._is_near(server))

    async def _round(self, room_id: str) -> Past:
        try:
            return await self._fetch(await self._registry.actor(room_id))
        except NotFound:
            return Past.NOTHING
        except Unavailable:
            return Past.OUT_OF_REACH

    async def _fetch(self, room: RoomActor) -> Past:
        create, room_id = room.create, room.room_id
        if create is None:
            return Past.NOTHING
        missing = await history_gaps.before_first(self._queries, room.room_nid, create.event_id)
        if not missing:
            # Else nobody of ours is in the room just now, or nothing is known of what was before.
            if await history_gaps.has_place(self._queries, room.room_nid, create.event_id):
                self._whole.put(room_id, value=True)
            return Past.NOTHING
        if self._clock.monotonic_ms() < (self._paused_until_ms.get(room_id) or 0):
            return Past.OUT_OF_REACH
        for server in (await self._servers(room))[:SERVERS_TRIED_MAX]:
            placed = await self._from(server, room, missing)
            if placed:
                return Past.MORE
        self._paused_until_ms.put(room_id, self._clock.monotonic_ms() + PAUSE_MS)
        return Past.OUT_OF_REACH

    async def _from(self, server: str, room: RoomActor, missing: dict[str, int]) -> int:
        """Ask one server; returns how many events have a place now."""
        try:
            async with asyncio.timeout(SERVER_TIMEOUT_S):
                pdus = await self._pages(server, room, list(missing))
                placed = await self._older.place(server, room, pdus, missing) if pdus else 0
        except (MatrixError, TimeoutError):
            return 0  # it does not tell, or what it tells cannot be stored, or came by another way
        self._observer(PastFetched(room.room_id, server, placed))
        return placed

    async def _pages(self, server: str, room: RoomActor, latest: Sequence[str]) -> list[Any]:
        """Ask for some pages, each for what is before the last one."""
        found: dict[str, Any] = {}
        for _ in range(REQUESTS_PER_ROUND_MAX):
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    page = await self._remote.backfill(
                        server, room.room_id, latest=latest[:MISSING_PER_REQUEST_MAX],
                        limit=EVENTS_PER_REQUEST_MAX,
                    )  # fmt: skip
            except (TimeoutError, Unavailable):
                if found:
                    break  # with what it told so far
                raise Unavailable(f"{server} tells nothing of the past.") from None
            fresh = {
                event_id: pdu
                for event_id, pdu in named(page[:EVENTS_PER_REQUEST_MAX], room.rules).items()
                if event_id not in found
            }
            found.update(fresh)
            latest = _before(fresh, found, room)
            if not latest:
                break
        return list(found.values())


def _before(fresh: dict[str, Any], found: dict[str, Any], room: RoomActor) -> list[str]:
    """What events name that nobody told yet: what the earliest of them name comes first."""
    pdus = sorted(fresh.values(), key=_depth)
    before = [one for pdu in pdus for one in references(pdu, "prev_events", room.rules)]
    return list(dict.fromkeys(one for one in before if one not in found))


def _depth(pdu: dict[str, Any]) -> int:
    depth = pdu.get("depth")
    return depth if type(depth) is int else 0
