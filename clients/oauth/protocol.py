"""What OAuth 2.0 clients ask for themselves: registration, tokens, revocation.

Spec: https://spec.matrix.org/v1.19/client-server-api/#oauth-20-api
"""

from collections.abc import Mapping
from typing import Any

import orjson

from clients.oauth.forms import form_of, required
from clients.oauth.paths import DEVICE_AUTHORIZATION, LINK, REGISTRATION, REVOCATION, TOKEN
from homeserver.accounts.oauth.clients import OAuthClients
from homeserver.accounts.oauth.codes import AuthorizationCodes
from homeserver.accounts.oauth.device_grants import INTERVAL_MS, LIFETIME_MS, DeviceGrants, shown_code
from homeserver.accounts.oauth.sessions import OAuthSessions
from homeserver.core.oauth.client_metadata import AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN
from homeserver.core.oauth.errors import OAuthError
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response

__all__ = ["OAuthProtocolEndpoints"]

_METADATA_BYTES_MAX = 65_536


def _response(value: Mapping[str, Any], status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    return Response(status, orjson.dumps(value), headers=headers)


class OAuthProtocolEndpoints:
    """Answers clients; none of these needs a cookie or an access token, and none takes one.

    Args:
        clients: the registered ones.
        codes: of the authorization code grant.
        device_grants: of clients without a browser.
        sessions: what all grants end in.
        base_url: where browsers reach this server.
    """

    def __init__(
        self,
        *,
        clients: OAuthClients,
        codes: AuthorizationCodes,
        device_grants: DeviceGrants,
        sessions: OAuthSessions,
        base_url: str,
    ) -> None:
        self._clients = clients
        self._codes = codes
        self._device_grants = device_grants
        self._link = base_url.rstrip("/") + LINK
        self._sessions = sessions

    @endpoint(
        "POST",
        REGISTRATION,
        authentication=Authentication.NONE,
        rate_limit=RateLimit.LOGIN,
        body_raw=True,
        spec="https://spec.matrix.org/v1.19/client-server-api/#client-registration",
    )
    async def register(self, request: Request) -> Response:
        """Register a client."""
        body: bytes = request.body
        if len(body) > _METADATA_BYTES_MAX:
            raise OAuthError("invalid_client_metadata", f"At most {_METADATA_BYTES_MAX} bytes, please.")
        try:
            given = orjson.loads(body)
        except orjson.JSONDecodeError:
            given = None
        if not isinstance(given, dict):
            raise OAuthError("invalid_client_metadata", "The body must be a JSON object.")
        client_id, metadata = await self._clients.register(given)
        return _response({"client_id": client_id, **metadata.body()}, 201)

    # All clients behind one address refresh their tokens here; there is nothing that could be guessed.
    @endpoint(
        "POST",
        TOKEN,
        authentication=Authentication.NONE,
        rate_limit=RateLimit.READ,
        body_raw=True,
        spec="https://spec.matrix.org/v1.19/client-server-api/#grant-types",
    )
    async def issue_tokens(self, request: Request) -> Response:
        """Exchange a code, a device code or a refresh token for tokens."""
        form = form_of(request.body)
        grant_type, client_id = required(form, "grant_type"), required(form, "client_id")
        if grant_type == AUTHORIZATION_CODE:
            granted = await self._codes.exchange(
                required(form, "code"), client_id=client_id, redirect_uri=required(form, "redirect_uri"),
                code_verifier=required(form, "code_verifier"),
            )  # fmt: skip
        elif grant_type == REFRESH_TOKEN:
            await self._clients.find(client_id)
            granted = await self._sessions.refresh(required(form, "refresh_token"), client_id)
        elif grant_type == DEVICE_CODE:
            granted = await self._device_grants.fetch(required(form, "device_code"), client_id)
        else:
            raise OAuthError("unsupported_grant_type", "This server has no such grant.")
        return _response(granted.body())

    @endpoint(
        "POST",
        DEVICE_AUTHORIZATION,
        authentication=Authentication.NONE,
        rate_limit=RateLimit.LOGIN,
        body_raw=True,
        spec="https://spec.matrix.org/v1.19/client-server-api/#device-authorisation-flow",
    )
    async def begin_device_grant(self, request: Request) -> Response:
        """Let a client wait for its user, who decides in a browser."""
        form = form_of(request.body)
        device_code, user_code = await self._device_grants.begin(
            required(form, "client_id"), required(form, "scope")
        )
        shown = shown_code(user_code)
        return _response({
            "device_code": device_code,
            "user_code": shown,
            "verification_uri": self._link,
            "verification_uri_complete": f"{self._link}?user_code={shown}",
            "expires_in": LIFETIME_MS // 1_000,
            "interval": INTERVAL_MS // 1_000,
        })  # fmt: skip

    @endpoint(
        "POST",
        REVOCATION,
        authentication=Authentication.NONE,
        rate_limit=RateLimit.READ,
        body_raw=True,
        spec="https://spec.matrix.org/v1.19/client-server-api/#token-revocation",
    )
    async def revoke(self, request: Request) -> Response:
        """End the session that a token belongs to."""
        form = form_of(request.body)
        # The hint and the client only help servers that look tokens up by them.
        if form.get("token_type_hint", "access_token") not in {"access_token", "refresh_token"}:
            raise OAuthError("unsupported_token_type", "Hint at an access_token or a refresh_token.")
        await self._sessions.revoke(required(form, "token"))
        return _response({})
