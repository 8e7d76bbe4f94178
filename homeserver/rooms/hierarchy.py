"""Walking over a space: its rooms, the spaces in it and theirs, a page at a time.

Spec: https://spec.matrix.org/v1.19/client-server-api/#discovering-rooms-within-spaces
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from homeserver.core.content.space import CHILD, SPACE, in_order, is_child, is_suggested
from homeserver.core.errors import Forbidden, InvalidParam
from homeserver.core.event.pdu import Event
from homeserver.core.requester import Requester
from homeserver.rooms.remote_summaries import RemoteSummaryReader
from homeserver.rooms.room_summary import RoomSummaries, RoomSummary
from homeserver.runtime.clock import Clock
from homeserver.runtime.randomness import Randomness
from storage.interning import Interning
from storage.tables.hierarchy_walks import HierarchyWalks
from storage.tables.room_cards import RoomCards

__all__ = ["HierarchyPage", "HierarchyRequest", "SpaceHierarchy", "stripped_child"]

CHILDREN_OF_SPACE_MAX = 1_000
CHILD_EVENT_BYTES_MAX = 8_192
"""Larger events are no children: a space that holds a thousand of them could not be shown."""
WALK_ROOMS_MAX = 10_000
PAGE_BYTES_MAX = 1_000_000
REMOTE_LOOKS_MAX = 20
"""At rooms that are not here, a page: the next page goes on from there."""
VIA_MAX = 5
PAGE_LOOKS_MAX = 500
"""A walk among rooms that do not show themselves ends its page early."""

_ROOMS_AT_ONCE = 50
_TOKEN_BYTES = 18


@dataclass(frozen=True, slots=True)
class HierarchyRequest:
    """A page of a walk that a client asks for.

    Attributes:
        room_id: the space.
        suggested_only: only children that their space recommends.
        max_depth: how many levels below the space; 0 shows the space alone.
        limit: at most so many rooms.
        token: of an earlier page.
    """

    room_id: str
    suggested_only: bool
    max_depth: int
    limit: int
    token: str | None = None


@dataclass(frozen=True, slots=True)
class HierarchyPage:
    """A page of a walk.

    Attributes:
        rooms: as clients are shown them.
        next_batch: token of the page after it, if there is one.
    """

    rooms: Sequence[dict[str, Any]]
    next_batch: str | None


@dataclass(slots=True)
class _Walk:
    """Where a walk is.

    Attributes:
        room_id: the space.
        suggested_only: as it was asked for at first.
        max_depth: likewise.
        ahead: rooms and their depths; the last comes next.
        seen: rooms that were there, so that a circle of spaces ends.
        via: servers that know rooms that are ahead.
    """

    room_id: str
    suggested_only: bool
    max_depth: int
    ahead: list[tuple[str, int]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    via: dict[str, list[str]] = field(default_factory=dict)

    def next_room(self) -> tuple[str, int] | None:
        """Go on to the next room that was not there yet."""
        while self.ahead:
            room_id, depth = self.ahead.pop()
            if room_id not in self.seen:
                self.seen.add(room_id)
                return room_id, depth
        return None

    def nearest(self, count: int) -> list[str]:
        """Name the rooms that come next."""
        ids = [room_id for room_id, _ in self.ahead[: -count - 1 : -1]]
        return [room_id for room_id in ids if room_id not in self.seen]

    def add(self, children: Sequence[Mapping[str, Any]], depth: int) -> None:
        """Let children come next, in their order, as far as the walk has room for them."""
        fresh = [child for child in children if child["state_key"] not in self.seen]
        places = max(0, WALK_ROOMS_MAX - len(self.seen) - len(self.ahead))
        for child in reversed(fresh[:places]):
            self.ahead.append((child["state_key"], depth))
            self.via[child["state_key"]] = child["content"]["via"][:VIA_MAX]

    def put_back(self, room_id: str, depth: int) -> None:
        """Let a room come first on the next page."""
        self.seen.discard(room_id)
        self.ahead.append((room_id, depth))

    def encode(self) -> bytes:
        return orjson.dumps([
            self.room_id, self.suggested_only, self.max_depth, self.ahead, sorted(self.seen),
            {room_id: self.via[room_id] for room_id, _ in self.ahead if room_id in self.via},
        ])  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> "_Walk":
        # What an older version of this server has kept knows no servers.
        room_id, suggested_only, max_depth, ahead, seen, via = [*orjson.loads(data), {}][:6]
        places = [(name, depth) for name, depth in ahead]
        return cls(room_id, suggested_only, max_depth, places, set(seen), via)


class SpaceHierarchy:
    """Walks over spaces, depth first. For rooms that are not known here the servers that know them are asked.

    Args:
        cards: reads the children of spaces.
        summaries: what rooms show, and to whom.
        walks: keeps where walks go on.
        interning: numbers of users.
        randomness: for tokens.
        clock: for how long tokens are good.
        elsewhere: rooms that are not here.
    """

    def __init__(
        self, *, cards: RoomCards, summaries: RoomSummaries, walks: HierarchyWalks, interning: Interning,
        randomness: Randomness, clock: Clock, elsewhere: RemoteSummaryReader,
    ) -> None:  # fmt: skip
        self._elsewhere = elsewhere
        self._cards = cards
        self._summaries = summaries
        self._walks = walks
        self._interning = interning
        self._randomness = randomness
        self._clock = clock

    async def page(self, requester: Requester, request: HierarchyRequest) -> HierarchyPage:
        """Read a page of a walk.

        Raises:
            Forbidden: the space does not show itself to the user, or there is none.
            InvalidParam: the token is of no walk of this user, or what was asked for has changed.
        """
        walk = await self._walk(requester, request)
        shown = _Shown(self._summaries, requester.user_id, walk)
        here = await shown.get(request.room_id)
        if here is None and await self._from_elsewhere(requester, request.room_id, walk) is None:
            raise Forbidden("You may not see this space, or it does not exist.")
        rooms: list[dict[str, Any]] = []
        size_bytes = looks = remote_looks = 0
        while len(rooms) < request.limit and size_bytes < PAGE_BYTES_MAX and looks < PAGE_LOOKS_MAX:
            following = walk.next_room()
            if following is None:
                break
            looks += 1
            room_id, depth = following
            summary = await shown.get(room_id)
            if summary is not None:
                children = [stripped_child(child) for child in await self._children(summary, walk)]
                room = {**summary.body(), "children_state": children}
            else:
                if remote_looks == REMOTE_LOOKS_MAX:
                    walk.put_back(room_id, depth)
                    break
                remote_looks += 1
                found = await self._from_elsewhere(requester, room_id, walk)
                if found is None:
                    continue
                room = found
            if depth < walk.max_depth:
                walk.add(room["children_state"], depth + 1)
            rooms.append(room)
            size_bytes += sum(len(orjson.dumps(child)) for child in room["children_state"])
        return HierarchyPage(rooms, await self._keep(requester, walk) if walk.ahead else None)

    async def _from_elsewhere(
        self, requester: Requester, room_id: str, walk: _Walk
    ) -> dict[str, Any] | None:
        """What servers that know a room show of it, which is not here; None if the user could not see it."""
        if await self._summaries.known([room_id]):
            return None  # it is here, and does not show itself
        via = walk.via.get(room_id, ())
        found = await self._elsewhere.find(room_id, via, suggested_only=walk.suggested_only)
        if found is None:
            return None
        memberships = await self._summaries.memberships(
            requester.user_id, [room_id, *found.allowed_room_ids]
        )
        if not found.shows_itself_to(memberships):
            return None
        return {**found.body, "children_state": list(found.children)}

    async def _walk(self, requester: Requester, request: HierarchyRequest) -> _Walk:
        if request.token is None:
            return _Walk(request.room_id, request.suggested_only, request.max_depth, [(request.room_id, 0)])
        user_nid = await self._interning.nid("user", requester.user_id)
        data = await self._walks.find(user_nid, request.token, self._clock.now_ms())
        walk = None if data is None else _Walk.decode(data)
        if walk is None or walk.room_id != request.room_id:
            raise InvalidParam("The token is unknown, or too old: begin again without from.")
        if (walk.suggested_only, walk.max_depth) != (request.suggested_only, request.max_depth):
            raise InvalidParam("suggested_only and max_depth cannot change from one page to the next.")
        return walk

    async def _keep(self, requester: Requester, walk: _Walk) -> str:
        token = self._randomness.token_urlsafe(_TOKEN_BYTES)
        user_nid = await self._interning.nid("user", requester.user_id)
        await self._walks.keep(user_nid, token, walk.encode(), self._clock.now_ms())
        return token

    async def _children(self, summary: RoomSummary, walk: _Walk) -> list[Event]:
        if summary.room_type != SPACE:
            return []
        stored = await self._cards.of_type(
            summary.room_nid, CHILD, limit=CHILDREN_OF_SPACE_MAX, bytes_max=CHILD_EVENT_BYTES_MAX
        )
        children = [one.event for one in stored if is_child(one.event)]
        return in_order([child for child in children if not walk.suggested_only or is_suggested(child)])


class _Shown:
    """The summaries that one page asks for, read several at once."""

    def __init__(self, summaries: RoomSummaries, user_id: str, walk: _Walk) -> None:
        self._summaries = summaries
        self._user_id = user_id
        self._walk = walk
        self._asked: set[str] = set()
        self._found: dict[str, RoomSummary] = {}

    async def get(self, room_id: str) -> RoomSummary | None:
        """Return the summary of a room if it shows itself."""
        if room_id not in self._asked:
            nearest = [one for one in self._walk.nearest(_ROOMS_AT_ONCE) if one not in self._asked]
            asked = [room_id, *nearest]
            self._asked.update(asked)
            self._found.update(await self._summaries.shown_to(self._user_id, asked))
        return self._found.get(room_id)


def stripped_child(child: Event) -> dict[str, Any]:
    """What is shown of the event that makes a room a child of a space."""
    return {
        "type": child.type,
        "state_key": child.state_key,
        "content": child.content,
        "sender": child.sender,
        "origin_server_ts": child.origin_server_ts,
    }
