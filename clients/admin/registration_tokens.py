"""Registration tokens, for administrators."""

from typing import Any

import msgspec

from homeserver.accounts.registration_tokens import RegistrationTokens
from homeserver.http.endpoint import Authentication, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from storage.tables.registration_tokens import RegistrationTokenRow

__all__ = ["AdminRegistrationTokensEndpoints", "BoundsBody", "NewTokenBody"]

_SPEC = "https://element-hq.github.io/synapse/latest/usage/administration/admin_api/registration_tokens.html"
_TOKENS = "/_synapse/admin/v1/registration_tokens"
_LENGTH = 16


class NewTokenBody(msgspec.Struct):
    """What is wanted of a new token."""

    token: str | None = None
    uses_allowed: int | None = None
    expiry_time: int | None = None
    length: int = _LENGTH


class BoundsBody(msgspec.Struct):
    """What is to be changed of a token; null: without bound."""

    uses_allowed: int | msgspec.UnsetType | None = msgspec.UNSET
    expiry_time: int | msgspec.UnsetType | None = msgspec.UNSET


class AdminRegistrationTokensEndpoints:
    """Lists, makes, changes and takes back the tokens with which people may register.

    Args:
        tokens: keeps them.
    """

    def __init__(self, *, tokens: RegistrationTokens) -> None:
        self._tokens = tokens

    @endpoint("GET", _TOKENS, authentication=Authentication.ADMIN, spec=_SPEC)
    async def list_tokens(self, request: Request) -> Response:
        """List tokens."""
        is_valid = None
        if request.query_maybe("valid") is not None:
            is_valid = request.query_boolean("valid", default=True)
        rows = await self._tokens.list(is_valid=is_valid)
        return json_response({"registration_tokens": [_as_object(row) for row in rows]})

    @endpoint(
        "POST", _TOKENS + "/new", authentication=Authentication.ADMIN, body=NewTokenBody, spec=_SPEC
    )
    async def create_token(self, request: Request) -> Response:
        """Make a token."""
        body: NewTokenBody = request.body
        row = await self._tokens.create(
            body.token, length=body.length, uses_max=body.uses_allowed, expires_ms=body.expiry_time
        )
        return json_response(_as_object(row))

    @endpoint("GET", _TOKENS + "/{token}", authentication=Authentication.ADMIN, spec=_SPEC)
    async def get_token(self, request: Request) -> Response:
        """Tell about one token."""
        return json_response(_as_object(await self._tokens.find(request.parameters["token"])))

    @endpoint(
        "PUT", _TOKENS + "/{token}", authentication=Authentication.ADMIN, body=BoundsBody, spec=_SPEC
    )
    async def set_bounds(self, request: Request) -> Response:
        """Change how often and how long a token may be used."""
        token = request.parameters["token"]
        body: BoundsBody = request.body
        row = await self._tokens.find(token)
        uses_max, expires_ms = body.uses_allowed, body.expiry_time
        await self._tokens.set_bounds(
            token,
            row.uses_max if isinstance(uses_max, msgspec.UnsetType) else uses_max,
            row.expires_ms if isinstance(expires_ms, msgspec.UnsetType) else expires_ms,
        )
        return json_response(_as_object(await self._tokens.find(token)))

    @endpoint("DELETE", _TOKENS + "/{token}", authentication=Authentication.ADMIN, spec=_SPEC)
    async def delete_token(self, request: Request) -> Response:
        """Take a token back."""
        await self._tokens.delete(request.parameters["token"])
        return json_response({})


def _as_object(row: RegistrationTokenRow) -> dict[str, Any]:
    return {
        "token": row.token,
        "uses_allowed": row.uses_max,
        "pending": row.pending,
        "completed": row.uses,
        "expiry_time": row.expires_ms,
    }
