"""How clients find this server from its name."""

from collections.abc import Mapping
from typing import Any

from homeserver.core.errors import NotFound
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["WellKnownEndpoints"]

_HEADERS = {"Cache-Control": "public, max-age=600"}


class WellKnownEndpoints:
    """Tells clients where to go.

    Args:
        base_url: under which clients reach this server; None: it is not known here, and the answer is 404.
        extra: further keys that an operator wants clients to see; they do not override ours.
    """

    def __init__(self, *, base_url: str | None, extra: Mapping[str, Any] | None = None) -> None:
        self._maybe_answer: Response | None = None
        if base_url is not None:
            content = {**(extra or {}), "m.homeserver": {"base_url": base_url}}
            answer = json_response(content)
            self._maybe_answer = Response(answer.status, answer.body, answer.content_type, _HEADERS)

    @endpoint(
        "GET",
        "/.well-known/matrix/client",
        authentication=Authentication.NONE,
        rate_limit=RateLimit.NONE,
        spec="https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixclient",
    )
    async def get_client(self, request: Request) -> Response:
        """Tell the base URL of this server."""
        del request
        if self._maybe_answer is None:
            raise NotFound("This server does not say here where clients reach it; ask its operator.")
        return self._maybe_answer
