"""Rooms that are not here, as servers in them tell of them: for walks over spaces, and for summaries.

Spec: https://spec.matrix.org/v1.19/server-server-api/#spaces
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from homeserver.core.content.join_rules import KNOCK_RESTRICTED, PUBLIC, RESTRICTED
from homeserver.core.content.member import INVITE, JOIN, KNOCK
from homeserver.core.content.space import CHILD, SPACE
from homeserver.core.errors import MatrixError
from homeserver.core.identifiers import is_valid_server_name, parse_room_id, server_name_of
from homeserver.rooms.ports import RemoteSpaces
from homeserver.runtime.clock import Clock
from storage.cache import LruCache

__all__ = ["NoRemoteRooms", "RemoteRoom", "RemoteSummaries", "RemoteSummaryReader", "summary_of"]

SERVERS_TRIED_MAX = 3
ANSWER_TIMEOUT_S = 10.0
KEPT_ROOMS_MAX = 5_000
KEPT_MS = 300_000
KEPT_FAILURE_MS = 30_000
CHILDREN_MAX = 1_000
TEXT_CHARACTERS_MAX = 2_000
ALLOWED_ROOMS_MAX = 100
_TEXTS = (
    "name", "topic", "avatar_url", "canonical_alias", "join_rule", "room_type", "room_version", "encryption",
)  # fmt: skip
_OPEN = frozenset((PUBLIC, KNOCK, KNOCK_RESTRICTED))
_PRESENT = frozenset((JOIN, INVITE, KNOCK))


@dataclass(frozen=True, slots=True)
class RemoteRoom:
    """A room that is not here.

    Attributes:
        body: its summary, as clients are shown it.
        children: its `m.space.child` events, as clients are shown them.
    """

    body: Mapping[str, Any]
    children: Sequence[Mapping[str, Any]] = ()

    @property
    def allowed_room_ids(self) -> Sequence[str]:
        """Whose members may come in."""
        found: Sequence[str] = self.body.get("allowed_room_ids", ())
        return found

    def shows_itself_to(self, memberships: Mapping[str, str]) -> bool:
        """Say whether a user may have it shown, by the memberships of theirs that are known here."""
        if memberships.get(self.body["room_id"]) in _PRESENT or self.body["world_readable"]:
            return True
        join_rule = self.body["join_rule"]
        if join_rule in _OPEN:
            return True
        return join_rule == RESTRICTED and any(memberships.get(one) == JOIN for one in self.allowed_room_ids)


class NoRemoteRooms:
    """All rooms are here."""

    async def find(
        self, room_id: str, via: Sequence[str], *, suggested_only: bool = False
    ) -> RemoteRoom | None:
        """Find none."""
        del room_id, via, suggested_only
        return None


class RemoteSummaries:
    """Asks the servers that may know a room, and remembers for a while what they said.

    Args:
        remote: asks one of them.
        clock: for how long it is remembered.
        server_name: ours, which is not asked.
    """

    def __init__(self, *, remote: RemoteSpaces, clock: Clock, server_name: str) -> None:
        self._remote = remote
        self._clock = clock
        self._server_name = server_name
        self._kept: LruCache[tuple[str, bool], tuple[int, RemoteRoom | None]] = LruCache(KEPT_ROOMS_MAX)

    async def find(
        self, room_id: str, via: Sequence[str], *, suggested_only: bool = False
    ) -> RemoteRoom | None:
        """Find a room.

        Args:
            room_id: its ID.
            via: servers that may be in it, the best first; the one that is in its ID is asked at last.
            suggested_only: only children that it recommends.

        Returns:
            The room; None if nobody tells of it.
        """
        now_ms = self._clock.monotonic_ms()
        kept = self._kept.get((room_id, suggested_only))
        if kept is not None and now_ms < kept[0]:
            return kept[1]
        servers = [one for one in dict.fromkeys((*via, server_name_of(room_id) or "")) if self._may_ask(one)]
        found = None
        for server in servers[:SERVERS_TRIED_MAX]:
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    answer = await self._remote.hierarchy(server, room_id, suggested_only=suggested_only)
            except (MatrixError, TimeoutError):
                continue
            found = _room_of(answer, room_id)
            if found is not None:
                self._keep_children(answer, until_ms=now_ms + KEPT_MS, suggested_only=suggested_only)
                break
        until_ms = now_ms + (KEPT_FAILURE_MS if found is None else KEPT_MS)
        self._kept.put((room_id, suggested_only), (until_ms, found))
        return found

    def _keep_children(self, answer: Mapping[str, Any], *, until_ms: int, suggested_only: bool) -> None:
        """Remember what the server told of children: but for spaces, whose own children it did not tell."""
        for each in _list(answer.get("children"))[:CHILDREN_MAX]:
            summary = summary_of(each)
            if summary is not None and summary.get("room_type") != SPACE:
                self._kept.put((summary["room_id"], suggested_only), (until_ms, RemoteRoom(summary)))
        for one in _list(answer.get("inaccessible_children"))[:CHILDREN_MAX]:
            if _is_room_id(one) and (one, suggested_only) not in self._kept:
                self._kept.put((one, suggested_only), (until_ms, None))

    def _may_ask(self, server: str) -> bool:
        return server != self._server_name and is_valid_server_name(server)


RemoteSummaryReader = RemoteSummaries | NoRemoteRooms


def _room_of(answer: Mapping[str, Any], room_id: str) -> RemoteRoom | None:
    """Read the answer of a server, as far as it has the form that clients rely on."""
    told = answer.get("room")
    body = summary_of(told)
    if body is None or not isinstance(told, dict) or body["room_id"] != room_id:
        return None
    listed = told.get("children_state")
    children = [child for each in _list(listed)[:CHILDREN_MAX] if (child := _child(each)) is not None]
    return RemoteRoom(body, children if body.get("room_type") == SPACE else ())


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def summary_of(told: object) -> dict[str, Any] | None:
    """Read the summary of a room, as far as it has the form that clients rely on; None: it is none."""
    if not isinstance(told, dict) or not _is_room_id(told.get("room_id")):
        return None
    joined = told.get("num_joined_members")
    body: dict[str, Any] = {
        "room_id": told["room_id"],
        "num_joined_members": joined if type(joined) is int and 0 <= joined < 2**53 else 0,
        "world_readable": told.get("world_readable") is True,
        "guest_can_join": told.get("guest_can_join") is True,
        "join_rule": PUBLIC,  # as the specification has it where none is told
    }
    for key in _TEXTS:
        value = told.get(key)
        if isinstance(value, str) and value:
            body[key] = value[:TEXT_CHARACTERS_MAX]
    allowed = [one for one in _list(told.get("allowed_room_ids")) if _is_room_id(one)]
    if allowed:
        body["allowed_room_ids"] = allowed[:ALLOWED_ROOMS_MAX]
    return body


def _child(told: object) -> dict[str, Any] | None:
    if not isinstance(told, dict) or told.get("type") != CHILD or not _is_room_id(told.get("state_key")):
        return None
    content, sent_ms, sender = told.get("content"), told.get("origin_server_ts"), told.get("sender")
    if not isinstance(content, dict) or type(sent_ms) is not int or not isinstance(sender, str):
        return None
    via = content.get("via")
    if not isinstance(via, list) or not via or not all(isinstance(one, str) for one in via):
        return None
    return {
        "type": CHILD, "state_key": told["state_key"], "content": content, "sender": sender,
        "origin_server_ts": sent_ms,
    }  # fmt: skip


def _is_room_id(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(parse_room_id(value))
    except ValueError:
        return False
