"""The room directory of an organisation: this server's, and after it those of its other regions.

Spec: https://spec.matrix.org/v1.19/client-server-api/#published-room-directory
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from homeserver.core.errors import InvalidParam, RemoteRefused, Unavailable
from homeserver.rooms.directory import DirectoryPage, DirectoryRequest, PublishedRooms
from homeserver.rooms.remote_directory import TOKEN_CHARACTERS_MAX, RemotePublishedRooms

__all__ = ["SharedDirectory"]

QUESTIONS_MAX = 20
"""Asked for one page; who wants more goes on from there."""

_TOKEN = re.compile(rf"r([0-9]{{1,4}})_(.{{0,{TOKEN_CHARACTERS_MAX}}})")


class SharedDirectory:
    """Reads the directories one after the other; a region that does not answer is left out.

    Args:
        published: this server's.
        elsewhere: those of others.
        regions: whose, in this order.
    """

    def __init__(
        self, *, published: PublishedRooms, elsewhere: RemotePublishedRooms, regions: Sequence[str]
    ) -> None:
        self._published = published
        self._elsewhere = elsewhere
        self._regions = regions

    async def page(self, request: DirectoryRequest) -> DirectoryPage:
        """Read a page.

        Raises:
            InvalidParam: the token is not one that this server gave.
        """
        place = None if request.since is None else _TOKEN.fullmatch(request.since)
        if place is None:
            page = await self._published.page(request)
            if page.next_batch is not None or request.network is not None:
                return page
            number, since = 0, None
        else:
            page = DirectoryPage((), None, None, 0)
            number, since = int(place[1]), place[2] or None
            if number >= len(self._regions):
                raise InvalidParam("The token is not one that this server gave: begin again without since.")
        return await self._filled(page, request, number, since)

    async def _filled(
        self, page: DirectoryPage, request: DirectoryRequest, number: int, since: str | None
    ) -> DirectoryPage:
        """Fill a page up from a region on."""
        chunk, total = list(page.chunk), page.total
        known = {entry["room_id"] for entry in chunk}
        questions = 0
        while number < len(self._regions):
            left = request.limit - len(chunk)
            if left <= 0 or questions >= QUESTIONS_MAX:
                return DirectoryPage(chunk, f"r{number}_{since or ''}", page.prev_batch, total)
            questions += 1
            try:
                asked = replace(request, limit=left, since=since)
                found = await self._elsewhere.page(self._regions[number], asked)
            except (Unavailable, RemoteRefused):
                found = DirectoryPage((), None, None, 0)
            # A room of several regions is listed once on a page.
            fresh = [entry for entry in found.chunk if entry["room_id"] not in known][:left]
            known |= {entry["room_id"] for entry in fresh}
            chunk += fresh
            total += found.total
            # A page without rooms that says it goes on would be asked for without end.
            since = found.next_batch if found.chunk else None
            if since is None:
                number += 1
        return DirectoryPage(chunk, None, page.prev_batch, total)
