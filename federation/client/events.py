"""Asking other servers for events: for rooms that lack some (their port `RemoteServers`), and for history.

Spec: https://spec.matrix.org/v1.19/server-server-api/#retrieving-events,
https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeGuard

from federation.client.client import FederationClient
from federation.client.paths import path
from homeserver.core.errors import RemoteRefused, Unavailable
from homeserver.core.identifiers import IDENTIFIER_BYTES_MAX

__all__ = ["RemoteEvents"]

STATE_TIMEOUT_MS = 120_000
"""Large rooms have states that take a server a while to put together."""

STATE_BODY_BYTES_MAX = 67_108_864
STATE_IDS_MAX = 400_000
STATE_EVENTS_MAX = 200_000
EVENT_BODY_BYTES_MAX = 1_048_576
EVENTS_AT_ONCE_MAX = 1_000
_TIMESTAMP_MS_MAX = 2**53 - 1


class RemoteEvents:
    """Asks for events. Their form is unchecked; that of the answers around them is checked.

    Every method raises:
        Unavailable: the server does not answer, or will not, or answers with what cannot be so.

    Args:
        client: asks other servers.
    """

    def __init__(self, client: FederationClient) -> None:
        self._client = client

    async def event(self, server: str, event_id: str) -> Any:
        """One event."""
        answer = await self._ask(
            server, path("/_matrix/federation/v1/event/{}", event_id), body_bytes_max=EVENT_BODY_BYTES_MAX
        )
        pdus = _objects(server, answer, "pdus", count_max=1)
        if not pdus:
            raise Unavailable(f"{server} answered without the event.")
        return pdus[0]

    async def state_ids(self, server: str, room_id: str, event_id: str) -> tuple[list[str], list[str]]:
        """The IDs of the state before an event, and of all that is in their auth chains."""
        answer = await self._ask(
            server, path("/_matrix/federation/v1/state_ids/{}", room_id), query={"event_id": event_id},
            timeout_ms=STATE_TIMEOUT_MS, body_bytes_max=STATE_BODY_BYTES_MAX,
        )  # fmt: skip
        return _ids(server, answer, "pdu_ids"), _ids(server, answer, "auth_chain_ids")

    async def state(self, server: str, room_id: str, event_id: str) -> tuple[list[Any], list[Any]]:
        """The state before an event, and all that is in its auth chains."""
        answer = await self._ask(
            server, path("/_matrix/federation/v1/state/{}", room_id), query={"event_id": event_id},
            timeout_ms=STATE_TIMEOUT_MS, body_bytes_max=STATE_BODY_BYTES_MAX,
        )  # fmt: skip
        return (
            _objects(server, answer, "pdus", count_max=STATE_EVENTS_MAX),
            _objects(server, answer, "auth_chain", count_max=STATE_EVENTS_MAX),
        )

    async def event_auth(self, server: str, room_id: str, event_id: str) -> list[Any]:
        """The whole auth chain of an event."""
        answer = await self._ask(
            server, path("/_matrix/federation/v1/event_auth/{}/{}", room_id, event_id),
            timeout_ms=STATE_TIMEOUT_MS, body_bytes_max=STATE_BODY_BYTES_MAX,
        )  # fmt: skip
        return _objects(server, answer, "auth_chain", count_max=STATE_EVENTS_MAX)

    async def missing_events(
        self, server: str, room_id: str, *, earliest: Sequence[str], latest: Sequence[str], limit: int
    ) -> list[Any]:
        """Events between those that we have and those that name others which we lack, oldest first."""
        content = {"earliest_events": list(earliest), "latest_events": list(latest), "limit": limit}
        answer = await self._ask(
            server, path("/_matrix/federation/v1/get_missing_events/{}", room_id), content=content
        )
        # A server that sends more than was asked for is taken at its first words.
        return _objects(server, answer, "events", count_max=EVENTS_AT_ONCE_MAX)[:limit]

    async def backfill(self, server: str, room_id: str, *, latest: Sequence[str], limit: int) -> list[Any]:
        """Events before and including some, the newest first."""
        answer = await self._ask(
            server, path("/_matrix/federation/v1/backfill/{}", room_id),
            query={"v": list(latest), "limit": str(limit)},
        )  # fmt: skip
        return _objects(server, answer, "pdus", count_max=EVENTS_AT_ONCE_MAX)[:limit]

    async def timestamp_to_event(
        self, server: str, room_id: str, *, timestamp_ms: int, direction: Literal["f", "b"]
    ) -> tuple[str, int] | None:
        """The event that is nearest to a time, and its own time; None: the server knows of none there."""
        try:
            answer = await self._client.request(
                server, "GET", path("/_matrix/federation/v1/timestamp_to_event/{}", room_id),
                query={"ts": str(timestamp_ms), "dir": direction}, body_bytes_max=EVENT_BODY_BYTES_MAX,
            )  # fmt: skip
        except RemoteRefused as refused:
            if refused.errcode == "M_NOT_FOUND":
                return None
            raise Unavailable(f"{server} will not say: {refused.error}") from refused
        found = answer if isinstance(answer, dict) else {}
        event_id, at_ms = found.get("event_id"), found.get("origin_server_ts")
        if not _is_event_id(event_id) or type(at_ms) is not int or not 0 <= at_ms <= _TIMESTAMP_MS_MAX:
            raise Unavailable(f"{server} answered with what is no event.")
        return event_id, at_ms

    async def _ask(
        self,
        server: str,
        target: str,
        *,
        query: Mapping[str, str | Sequence[str]] | None = None,
        content: Mapping[str, Any] | None = None,
        timeout_ms: int = 30_000,
        body_bytes_max: int = 10_485_760,
    ) -> Any:
        method = "GET" if content is None else "POST"
        try:
            return await self._client.request(
                server, method, target, query=query or {}, content=content, timeout_ms=timeout_ms,
                body_bytes_max=body_bytes_max,
            )  # fmt: skip
        except RemoteRefused as refused:
            raise Unavailable(f"{server} will not say: {refused.error}") from refused


def _objects(server: str, answer: Any, key: str, *, count_max: int) -> list[Any]:
    found = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(found, list) or len(found) > count_max or not all(type(one) is dict for one in found):
        raise Unavailable(f"{server} answered without a list of events, or with too many.")
    return found


def _ids(server: str, answer: Any, key: str) -> list[str]:
    found = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(found, list) or len(found) > STATE_IDS_MAX or not all(map(_is_event_id, found)):
        raise Unavailable(f"{server} answered without a list of event IDs, or with too many.")
    return found


def _is_event_id(value: Any) -> TypeGuard[str]:
    return type(value) is str and value.startswith("$") and len(value) <= IDENTIFIER_BYTES_MAX
