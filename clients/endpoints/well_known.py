"""How clients find this server from its name, and people those who run it."""

from collections.abc import Mapping
from dataclasses import replace
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
        support: who helps people with this server; None: that is not known here, and the answer is 404.
    """

    def __init__(
        self,
        *,
        base_url: str | None,
        extra: Mapping[str, Any] | None = None,
        support: Mapping[str, Any] | None = None,
    ) -> None:
        self._maybe_answer: Response | None = None
        if base_url is not None:
            content = {**(extra or {}), "m.homeserver": {"base_url": base_url}}
            self._maybe_answer = replace(json_response(content), headers=_HEADERS)
        self._maybe_support: Response | None = None
        if support:
            self._maybe_support = replace(json_response(support), headers=_HEADERS)

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

    @endpoint(
        "GET",
        "/.well-known/matrix/support",
        authentication=Authentication.NONE,
        rate_limit=RateLimit.NONE,
        spec="https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixsupport",
    )
    async def get_support(self, request: Request) -> Response:
        """Tell whom people can turn to."""
        del request
        if self._maybe_support is None:
            raise NotFound("This server does not say here who helps people with it.")
        return self._maybe_support
