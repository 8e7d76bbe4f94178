"""Login, refresh and logout."""

from collections.abc import Mapping
from typing import Any

import msgspec

from homeserver.accounts.access_tokens import AccessTokens
from homeserver.accounts.devices import Devices
from homeserver.accounts.jwt_login import JWT, JwtLogins
from homeserver.accounts.login import PASSWORD, Logins
from homeserver.accounts.ports import HomeRegions
from homeserver.accounts.short_lived_tokens import ShortLivedTokens
from homeserver.core.errors import MissingParam, UnknownError
from homeserver.core.identifiers import server_name_of
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["LoginBody", "LoginEndpoints", "RefreshBody"]

TOKEN = "m.login.token"  # noqa: S105 - the name of a login type


class LoginBody(msgspec.Struct):
    """What a client sends to log in."""

    type: str
    identifier: dict[str, Any] | None = None
    # COMPAT: before there were identifiers, users were named by this property.
    user: str | None = None
    medium: str | None = None
    address: str | None = None
    password: str | None = None
    token: str | None = None
    device_id: str | None = None
    initial_device_display_name: str | None = None
    refresh_token: bool | None = None


class RefreshBody(msgspec.Struct):
    """What a client sends to exchange its refresh token."""

    refresh_token: str


class LoginEndpoints:
    """Lets users in and out.

    Args:
        base_url: told to clients that log in, if this server knows how they reach it.
        sso_flow: how clients can send people to web pages to log in; None: they cannot.
        home_regions: logs in users of the organisation's other servers; None: there are none.
    """

    def __init__(
        self,
        *,
        logins: Logins,
        access_tokens: AccessTokens,
        devices: Devices,
        login_tokens: ShortLivedTokens,
        jwt_logins: JwtLogins | None = None,
        base_url: str | None = None,
        sso_flow: Mapping[str, Any] | None = None,
        home_regions: HomeRegions | None = None,
    ) -> None:
        self._logins = logins
        self._access_tokens = access_tokens
        self._devices = devices
        self._login_tokens = login_tokens
        self._jwt_logins = jwt_logins
        self._home_regions = home_regions
        self._base_url = base_url
        self._sso_flow = sso_flow

    @endpoint(
        "GET",
        "/_matrix/client/v3/login",
        authentication=Authentication.NONE,
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3login",
    )
    async def get_flows(self, request: Request) -> Response:
        """Tell how one can log in."""
        del request
        flows: list[dict[str, Any]] = [{"type": PASSWORD}, {"type": TOKEN, "get_login_token": True}]
        if self._jwt_logins is not None:
            flows.append({"type": JWT})
        if self._sso_flow is not None:
            flows.append(dict(self._sso_flow))
        return json_response({"flows": flows})

    @endpoint(
        "POST",
        "/_matrix/client/v3/login",
        authentication=Authentication.NONE,
        rate_limit=RateLimit.LOGIN,
        body=LoginBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3login",
    )
    async def log_in(self, request: Request) -> Response:
        """Log a user in with their password, or with a token that was made for that."""
        body: LoginBody = request.body
        elsewhere = await self._at_home(body)
        if elsewhere is not None:
            return json_response(elsewhere)
        self._logins.check_device(body.device_id, body.initial_device_display_name)
        user_id = await self._user_id(body)
        issued = await self._logins.open_session(
            user_id,
            device_id=body.device_id,
            display_name=body.initial_device_display_name,
            with_refresh_token=bool(body.refresh_token),
        )
        answer: dict[str, Any] = {"user_id": user_id, "home_server": server_name_of(user_id), **issued.body()}
        if self._base_url is not None:
            answer["well_known"] = {"m.homeserver": {"base_url": self._base_url}}
        return json_response(answer)

    async def _at_home(self, body: LoginBody) -> dict[str, Any] | None:
        """Log in a user of another of the organisation's servers there; None: this is the place."""
        if self._home_regions is None or body.type != PASSWORD or body.password is None:
            return None
        named = body.user if body.identifier is None else body.identifier.get("user")
        region = self._home_regions.home_of(named) if isinstance(named, str) else None
        if region is None:
            return None
        login = {
            "identifier": {"type": "m.id.user", "user": named}, "password": body.password,
            "device_id": body.device_id, "initial_device_display_name": body.initial_device_display_name,
            "refresh_token": body.refresh_token,
        }  # fmt: skip
        return await self._home_regions.log_in(region, login)

    async def _user_id(self, body: LoginBody) -> str:
        if body.type == TOKEN:
            if body.token is None:
                raise MissingParam("Give the token.")
            return await self._login_tokens.log_in_with(body.token)
        if body.type == JWT and self._jwt_logins is not None:
            if body.token is None:
                raise MissingParam("Give the token.")
            return await self._jwt_logins.user_with(body.token)
        if body.type != PASSWORD:
            raise UnknownError("There is no such type of login here.")
        if body.password is None:
            raise MissingParam("Give the password.")
        identifier, user = body.identifier, body.user
        if identifier is None and body.medium is not None and body.address is not None:
            identifier = {"type": "m.id.thirdparty", "medium": body.medium, "address": body.address}
        return await self._logins.user_identified(identifier, user, body.password)

    @endpoint(
        "POST",
        "/_matrix/client/v3/refresh",
        authentication=Authentication.NONE,
        rate_limit=RateLimit.LOGIN,
        body=RefreshBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3refresh",
    )
    async def refresh(self, request: Request) -> Response:
        """Exchange a refresh token for new tokens."""
        body: RefreshBody = request.body
        answer = (await self._access_tokens.refresh(body.refresh_token)).body()
        del answer["device_id"]
        return json_response(answer)

    @endpoint(
        "POST",
        "/_matrix/client/v3/logout",
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logout",
    )
    async def log_out(self, request: Request) -> Response:
        """End the session and forget its device."""
        requester = request.requester
        await self._devices.delete(requester.user_id, [requester.device_id])
        return json_response({})

    @endpoint(
        "POST",
        "/_matrix/client/v3/logout/all",
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logoutall",
    )
    async def log_out_all(self, request: Request) -> Response:
        """End all sessions of the user and forget the devices."""
        await self._devices.delete_all(request.requester.user_id)
        return json_response({})
