"""Sliding sync."""

from contextlib import nullcontext

from homeserver.core.errors import InvalidParam
from homeserver.ephemeral.presence import Presence
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response
from homeserver.sync.request import TIMEOUT_MS_MAX
from homeserver.sync.sliding.request import SlidingBody
from homeserver.sync.sliding.sliding_sync import SlidingSync

__all__ = ["SlidingSyncEndpoints"]

PRESENCES = frozenset({"offline", "online", "unavailable"})
_NOBODY = nullcontext()


class SlidingSyncEndpoints:
    """`POST …/org.matrix.simplified_msc3575/sync`."""

    def __init__(self, *, sliding_sync: SlidingSync, presence: Presence | None = None) -> None:
        self._sliding_sync = sliding_sync
        self._presence = presence

    @endpoint(
        "POST",
        "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync",
        # As with /sync: a poll that waits costs next to nothing.
        rate_limit=RateLimit.NONE,
        body=SlidingBody,
        spec="https://github.com/matrix-org/matrix-spec-proposals/pull/4186",
        timeout_ms_max=TIMEOUT_MS_MAX + 60_000,
    )
    async def sync(self, request: Request) -> Response:
        """Tell what the connection lacks of the rooms in its windows, waiting for it if asked to."""
        presence = request.query_maybe("set_presence")
        if presence is not None and presence not in PRESENCES:
            raise InvalidParam("set_presence must be offline, online or unavailable.")
        timeout_ms = request.query_integer("timeout", 0, at_most=TIMEOUT_MS_MAX)
        here = _NOBODY if self._presence is None else self._presence.here(request.requester, presence)
        async with here:
            body = await self._sliding_sync.respond(
                request.requester, request.body, pos=request.query_maybe("pos"), timeout_ms=timeout_ms
            )
        return Response(body=body)
