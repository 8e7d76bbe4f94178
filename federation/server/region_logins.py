"""The endpoint by which another of the organisation's servers lets a user of this one log in.

It is no part of the specification, and open to regions only: their connections show who they are.
"""

from typing import Any

import msgspec

from federation.client.logins import LOGIN_PATH
from federation.regions import Regions
from homeserver.accounts.login import Logins, user_named_in
from homeserver.core.errors import Forbidden
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["RegionLoginEndpoints"]

BODY_BYTES_MAX = 65_536


class RegionLogin(msgspec.Struct):
    """What a client sent to the other region, so far as it is of use here."""

    identifier: dict[str, Any]
    password: str
    device_id: str | None = None
    initial_device_display_name: str | None = None
    refresh_token: bool | None = None


class RegionLoginEndpoints:
    """Lets users in by way of another region.

    Args:
        logins: checks passwords and opens sessions.
        regions: who may ask.
        server_name: of this server.
        base_url: where clients find it from then on.
    """

    def __init__(self, *, logins: Logins, regions: Regions, server_name: str, base_url: str) -> None:
        self._logins = logins
        self._regions = regions
        self._server_name = server_name
        self._base_url = base_url

    @endpoint(
        "POST", LOGIN_PATH, authentication=Authentication.SERVER, rate_limit=RateLimit.FEDERATION,
        body=RegionLogin, body_bytes_max=BODY_BYTES_MAX,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3login",
    )  # fmt: skip
    async def log_in(self, request: Request) -> Response:
        """Log a user of this server in, with the password."""
        if not self._regions.is_region(request.origin):
            raise Forbidden("Only the organisation's own servers may let users log in.")
        body: RegionLogin = request.body
        self._logins.check_device(body.device_id, body.initial_device_display_name)
        user_id = await self._logins.user_with_password(
            user_named_in(body.identifier, None), body.password
        )
        issued = await self._logins.open_session(
            user_id, device_id=body.device_id, display_name=body.initial_device_display_name,
            with_refresh_token=bool(body.refresh_token),
        )  # fmt: skip
        return json_response({
            "user_id": user_id, "home_server": self._server_name, **issued.body(),
            "well_known": {"m.homeserver": {"base_url": self._base_url}},
        })  # fmt: skip
