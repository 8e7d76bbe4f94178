"""The room directory: which rooms of this server are published, and looking through them.

Spec: https://spec.matrix.org/v1.19/client-server-api/#published-room-directory
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from homeserver.core.errors import InvalidParam, NotFound
from homeserver.core.requester import Requester
from homeserver.rooms.aliases import Directory
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.room_summary import RoomSummaries, RoomSummary
from storage.tables.room_cards import DirectoryPlace, RoomCardRow, RoomCards
from storage.tables.rooms import Rooms

__all__ = ["DirectoryPage", "DirectoryRequest", "PublishedRooms"]

ROOMS_SCANNED_MAX = 2_000
"""A search that finds hardly anything ends a page early, with a token that goes on from there."""

_ROOMS_AT_ONCE = 200
_TOKEN = re.compile(r"([fb])([0-9]{1,9})_([0-9]{1,18})")
_BEGINNING = DirectoryPlace(999_999_999, 0)


@dataclass(frozen=True, slots=True)
class DirectoryRequest:
    """A page of the directory that a client asks for.

    Attributes:
        limit: at most so many rooms.
        since: token of an earlier page, which also says the direction.
        search_term: to be found in name, topic or canonical alias.
        room_types: only rooms of these types; None stands for those without a type.
        network: of a third-party network; no rooms of other networks are known here.
    """

    limit: int
    since: str | None = None
    search_term: str | None = None
    room_types: Sequence[str | None] | None = None
    network: str | None = None

    @property
    def is_filtered(self) -> bool:
        """Whether not every room is wanted."""
        return bool(self.search_term) or self.room_types is not None

    def wants(self, summary: RoomSummary) -> bool:
        """Whether a room is wanted."""
        if self.room_types is not None and summary.room_type not in self.room_types:
            return False
        if not self.search_term:
            return True
        term = self.search_term.casefold()
        texts = [summary.shown.get(key, "") for key in ("name", "topic", "canonical_alias")]
        return any(term in text.casefold() for text in texts)


@dataclass(frozen=True, slots=True)
class DirectoryPage:
    """A page of the directory.

    Attributes:
        chunk: the rooms, as clients are shown them.
        next_batch: token of the page after it, if there is one.
        prev_batch: token of the page before it, if there is one.
        total: how many rooms are published, whatever is wanted of them.
    """

    chunk: Sequence[dict[str, Any]]
    next_batch: str | None
    prev_batch: str | None
    total: int


class PublishedRooms:
    """Publishes rooms, and reads what is published.

    Args:
        rooms: knows which are.
        cards: reads them by size.
        summaries: what is shown of them.
        directory: who may publish.
        registry: the rooms.
    """

    def __init__(
        self, *, rooms: Rooms, cards: RoomCards, summaries: RoomSummaries, directory: Directory,
        registry: RoomRegistry,
    ) -> None:  # fmt: skip
        self._rooms = rooms
        self._cards = cards
        self._summaries = summaries
        self._directory = directory
        self._registry = registry

    async def is_published(self, room_id: str) -> bool:
        """Tell whether the directory lists a room.

        Raises:
            NotFound: there is no such room here.
        """
        room = await self._rooms.find(room_id)
        if room is None:
            raise NotFound("There is no such room on this server.")
        # What `find` remembers may be older than what another worker did.
        rooms = await self._rooms.by_nids([room.room_nid])
        return any(one.is_public for one in rooms.values())

    async def publish(self, requester: Requester, room_id: str, *, is_public: bool) -> None:
        """List a room, or list it no more: its moderators may, and admins.

        Raises:
            Forbidden: neither is asking, or only admins may publish.
            NotFound: there is no such room here.
        """
        room = await self._registry.actor(room_id, ("m.room.member", requester.user_id))
        self._directory.check_moderator(requester, room)
        if is_public:
            self._directory.check_publisher(requester)
        await self._rooms.set_public(room_id, is_public=is_public)

    async def page(self, request: DirectoryRequest) -> DirectoryPage:
        """Read a page, the largest rooms first.

        Raises:
            InvalidParam: the token is not one that this server gave.
        """
        direction, place = _parse(request.since)
        if request.network is not None:
            return DirectoryPage((), None, None, 0)
        found, end = await self._scan(request, direction, place)
        total = await self._cards.public_count()
        entries = [summary.directory_entry() for _, summary in found]
        places = [_place(row) for row, _ in found]
        if direction == "f":
            first = places[0] if places else place and DirectoryPlace(place.joined, place.room_nid + 1)
            before = None if request.since is None else _token("b", first)
            return DirectoryPage(entries, _token("f", end), before, total)
        after = _token("f", places[0] if places else _BEGINNING)
        return DirectoryPage(entries[::-1], after, _token("b", end), total)

    async def _scan(
        self, request: DirectoryRequest, direction: str, place: DirectoryPlace | None
    ) -> tuple[list[tuple[RoomCardRow, RoomSummary]], DirectoryPlace | None]:
        """The wanted rooms in the order of the direction, and where to go on if there may be more."""
        found: list[tuple[RoomCardRow, RoomSummary]] = []
        at_once = _ROOMS_AT_ONCE if request.is_filtered else request.limit + 1
        scanned = 0
        while scanned < ROOMS_SCANNED_MAX:
            if direction == "b" and place is not None:
                rows = await self._cards.public_before(place, at_once)
            else:
                rows = await self._cards.public_after(place, at_once)
            summaries = await self._summaries.of_rows(rows)
            for row in rows:
                summary = summaries.get(row.room_id)
                if summary is None or not request.wants(summary):
                    continue
                if len(found) == request.limit:
                    return found, _place(found[-1][0])
                found.append((row, summary))
            if len(rows) < at_once:
                return found, None
            place = _place(rows[-1])
            scanned += len(rows)
        return found, place


def _place(row: RoomCardRow) -> DirectoryPlace:
    return DirectoryPlace(row.joined, row.room_nid)


def _token(direction: str, place: DirectoryPlace | None) -> str | None:
    return None if place is None else f"{direction}{place.joined}_{place.room_nid}"


def _parse(token: str | None) -> tuple[str, DirectoryPlace | None]:
    if token is None:
        return "f", None
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise InvalidParam("The token is not one that this server gave: begin again without since.")
    return match[1], DirectoryPlace(int(match[2]), int(match[3]))
