"""Tokens that users hand on: to log in somewhere else, or to show another service who they are."""

import msgspec

from homeserver.accounts.reauthentication import Reauthentication
from homeserver.accounts.short_lived_tokens import LOGIN_LIFETIME_MS, OPENID_LIFETIME_MS, ShortLivedTokens
from homeserver.core.errors import Forbidden, MissingToken
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["LoginTokenBody", "ShortLivedTokensEndpoints"]


class LoginTokenBody(msgspec.Struct):
    """How the user shows that they may let somebody log in as them."""

    auth: dict[str, object] | None = None


class ShortLivedTokensEndpoints:
    """Gives tokens out, and tells other services whose they are.

    Args:
        tokens: keeps them.
        reauthentication: asks for the password, each time.
        server_name: of this server.
    """

    def __init__(
        self, *, tokens: ShortLivedTokens, reauthentication: Reauthentication, server_name: str
    ) -> None:
        self._tokens = tokens
        self._reauthentication = reauthentication
        self._server_name = server_name

    @endpoint(
        "POST",
        "/_matrix/client/v1/login/get_token",
        rate_limit=RateLimit.LOGIN,
        body=LoginTokenBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv1loginget_token",
    )
    async def get_login_token(self, request: Request) -> Response:
        """Give a token with which the user can log in on another device."""
        requester = request.requester
        await self._reauthentication.require(requester, "let another device log in", request.body.auth)
        token = await self._tokens.create_for_login(requester.user_id)
        return json_response({"login_token": token, "expires_in_ms": LOGIN_LIFETIME_MS})

    @endpoint(
        "POST",
        "/_matrix/client/v3/user/{userId}/openid/request_token",
        rate_limit=RateLimit.PROFILE,
        body=dict,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridopenidrequest_token",
    )
    async def get_openid_token(self, request: Request) -> Response:
        """Give a token that shows another service who the user is."""
        user_id = request.requester.user_id
        if request.parameters["userId"] != user_id:
            raise Forbidden("You can show services only who you are yourself.")
        return json_response({
            "access_token": await self._tokens.create_for_openid(user_id),
            "token_type": "Bearer",
            "matrix_server_name": self._server_name,
            "expires_in": OPENID_LIFETIME_MS // 1000,
        })

    @endpoint(
        "GET",
        "/_matrix/federation/v1/openid/userinfo",
        authentication=Authentication.NONE,
        spec="https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1openiduserinfo",
    )
    async def get_openid_user(self, request: Request) -> Response:
        """Tell a service whose token it was given."""
        token = request.query_maybe("access_token")
        if not token:
            raise MissingToken("Give the token in the query parameter access_token.")
        return json_response({"sub": await self._tokens.openid_user(token)})
