"""Whether the server lives and whether it can take requests, for load balancers and supervisors."""

from collections.abc import Awaitable, Callable

from homeserver.core.errors import MatrixError
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["HealthEndpoints"]

_PAGE = "https://spec.matrix.org/v1.19/#introduction-to-the-matrix-apis"
"""The specification has no such endpoints; docs/operations.md describes them."""


class HealthEndpoints:
    """`GET /health` and `GET /ready`.

    Args:
        check_database: raises where the database does not answer.

    Attributes:
        is_stopping: true once the server takes no new work.
    """

    def __init__(self, *, check_database: Callable[[], Awaitable[object]]) -> None:
        self._check_database = check_database
        self.is_stopping = False

    @endpoint("GET", "/health", authentication=Authentication.NONE, rate_limit=RateLimit.NONE, spec=_PAGE)
    async def health(self, request: Request) -> Response:
        """Tell that the process lives."""
        del request
        return json_response({"status": "ok"})

    @endpoint(
        "GET",
        "/ready",
        authentication=Authentication.NONE,
        rate_limit=RateLimit.NONE,
        spec=_PAGE,
        timeout_ms_max=5_000,
    )
    async def ready(self, request: Request) -> Response:
        """Tell whether requests should come here: the database answers and the server is not stopping."""
        del request
        if self.is_stopping:
            return json_response({"status": "stopping"}, 503)
        try:
            await self._check_database()
        except MatrixError:
            return json_response({"status": "the database does not answer"}, 503)
        return json_response({"status": "ready"})
