"""Syncing. Spec: https://spec.matrix.org/v1.19/client-server-api/#syncing ."""

from contextlib import nullcontext

from homeserver.core.errors import InvalidParam
from homeserver.core.filters import Filter
from homeserver.ephemeral.presence import Presence
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response
from homeserver.sync.filters import Filters
from homeserver.sync.follow import Sync
from homeserver.sync.request import TIMEOUT_MS_MAX, SyncRequest, parse_since

__all__ = ["SyncEndpoints", "asked_by", "wished_presence"]

PRESENCES = frozenset({"offline", "online", "unavailable"})
_NOBODY = nullcontext()

_UNSTABLE = "org.matrix.msc4222."
"""COMPAT: matrix-js-sdk 43 asks for the state after the timeline, and reads it, under this name only."""


class SyncEndpoints:
    """`GET /sync`."""

    def __init__(self, *, sync: Sync, filters: Filters, presence: Presence | None = None) -> None:
        self._sync = sync
        self._filters = filters
        self._presence = presence

    @endpoint(
        "GET",
        "/_matrix/client/v3/sync",
        # A poll that waits costs next to nothing, and one that does not is bounded by what there is to tell.
        rate_limit=RateLimit.NONE,
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync",
        timeout_ms_max=TIMEOUT_MS_MAX + 60_000,
    )
    async def sync(self, request: Request) -> Response:
        """Tell what happened since the client's token, waiting for it if asked to."""
        wish, requester = wished_presence(request), request.requester
        wanted = await self._filters.chosen(requester.user_id, request.query_maybe("filter"))
        asked = asked_by(request, wanted)
        here = _NOBODY if self._presence is None else self._presence.here(requester, wish)
        async with here:
            return Response(body=await self._sync.respond(asked))


def wished_presence(request: Request) -> str | None:
    """The presence that a sync asks for, if it does.

    Raises:
        InvalidParam: there is no such presence.
    """
    presence = request.query_maybe("set_presence")
    if presence is not None and presence not in PRESENCES:
        raise InvalidParam("set_presence must be offline, online or unavailable.")
    return presence


def asked_by(request: Request, wanted: Filter) -> SyncRequest:
    """What a request for a sync asks for, with its filter.

    Raises:
        InvalidParam: a parameter is wrong.
    """
    is_stable = request.query_boolean("use_state_after", default=False)
    is_unstable = request.query_boolean(_UNSTABLE + "use_state_after", default=False)
    return SyncRequest(
        request.requester,
        filter=wanted,
        since=parse_since(request.query_maybe("since")),
        full_state=request.query_boolean("full_state", default=False),
        use_state_after=is_stable or is_unstable,
        state_after_name=b"state_after" if is_stable else _UNSTABLE.encode() + b"state_after",
        timeout_ms=request.query_integer("timeout", 0, at_most=TIMEOUT_MS_MAX),
    )
