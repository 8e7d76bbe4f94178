"""What this server is: its software, and where other servers reach it.

Spec: https://spec.matrix.org/v1.19/server-server-api/#server-discovery
"""

from dataclasses import replace

from homeserver.core.errors import NotFound
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["ServerIdentityEndpoints"]

_HEADERS = {"Cache-Control": "public, max-age=86400"}


class ServerIdentityEndpoints:
    """Tells other servers about this one.

    Args:
        software_version: of this software.
        public_address: host and port where other servers reach this one; empty: not told here.
    """

    def __init__(self, *, software_version: str, public_address: str) -> None:
        self._version = json_response({"server": {"name": "Isthmus", "version": software_version}})
        self._maybe_address: Response | None = None
        if public_address:
            self._maybe_address = replace(json_response({"m.server": public_address}), headers=_HEADERS)

    @endpoint(
        "GET",
        "/_matrix/federation/v1/version",
        authentication=Authentication.NONE,
        rate_limit=RateLimit.NONE,
        spec="https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1version",
    )
    async def get_version(self, request: Request) -> Response:
        """Tell the software."""
        del request
        return self._version

    @endpoint(
        "GET",
        "/.well-known/matrix/server",
        authentication=Authentication.NONE,
        rate_limit=RateLimit.NONE,
        spec="https://spec.matrix.org/v1.19/server-server-api/#getwell-knownmatrixserver",
    )
    async def get_address(self, request: Request) -> Response:
        """Tell where other servers reach this one."""
        del request
        if self._maybe_address is None:
            raise NotFound("This server does not say here where other servers reach it.")
        return self._maybe_address
