"""Registration with a shared secret, as Synapse has it: for scripts that make accounts on a closed server."""

import hashlib
import hmac
from typing import Any

import msgspec

from homeserver.accounts.login import Logins
from homeserver.accounts.registration import NewAccount, Registration
from homeserver.accounts.uia import InteractiveAuthentication
from homeserver.core.errors import InvalidParam, UnknownError
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.runtime.randomness import Randomness

__all__ = ["AdminRegisterBody", "AdminRegisterEndpoints", "mac_of"]

_SPEC = "https://element-hq.github.io/synapse/latest/admin_api/register_api.html"
_OPERATION = "shared-secret registration"
_NONCE_LIFETIME_MS = 60_000
_TEXT_CHARACTERS_MAX = 512
_USER_TYPES = frozenset({"bot", "support"})


class _MacIncorrectError(UnknownError):
    """The HMAC was made with another secret or of other values."""

    status = 403


class AdminRegisterBody(msgspec.Struct):
    """What a script sends to make an account."""

    nonce: str
    username: str
    password: str
    mac: str
    admin: bool = False
    user_type: str | None = None
    displayname: str | None = None
    device_id: str | None = None
    initial_device_display_name: str | None = None
    inhibit_login: bool = False
    refresh_token: bool = False


def mac_of(shared_secret: str, body: AdminRegisterBody) -> str:
    """The HMAC that proves knowledge of the shared secret."""
    parts = [body.nonce, body.username, body.password, "admin" if body.admin else "notadmin"]
    if body.user_type:
        parts.append(body.user_type)
    # SHA-1 is what the scripts out there use; as an HMAC it is not broken.
    return hmac.new(shared_secret.encode(), "\0".join(parts).encode(), hashlib.sha1).hexdigest()


class AdminRegisterEndpoints:
    """Makes accounts for whoever knows the shared secret.

    Args:
        shared_secret: empty or None: these endpoints refuse everybody.
    """

    def __init__(
        self,
        *,
        registration: Registration,
        logins: Logins,
        interactive: InteractiveAuthentication,
        randomness: Randomness,
        shared_secret: str | None,
        server_name: str,
    ) -> None:
        self._registration = registration
        self._logins = logins
        self._interactive = interactive
        self._randomness = randomness
        self._shared_secret = shared_secret
        self._server_name = server_name

    @endpoint(
        "GET",
        "/_synapse/admin/v1/register",
        authentication=Authentication.NONE,
        rate_limit=RateLimit.REGISTRATION,
        spec=_SPEC,
    )
    async def get_nonce(self, request: Request) -> Response:
        """Give out a nonce, good for one registration within a minute."""
        del request
        self._secret()
        nonce = self._randomness.token_bytes(64).hex()
        await self._interactive.create_nonce(_OPERATION, nonce)
        return json_response({"nonce": nonce})

    @endpoint(
        "POST",
        "/_synapse/admin/v1/register",
        authentication=Authentication.NONE,
        rate_limit=RateLimit.REGISTRATION,
        body=AdminRegisterBody,
        spec=_SPEC,
    )
    async def register(self, request: Request) -> Response:
        """Make an account."""
        secret = self._secret()
        body: AdminRegisterBody = request.body
        if not await self._interactive.take_nonce(_OPERATION, body.nonce, _NONCE_LIFETIME_MS):
            raise UnknownError("unrecognised nonce")
        _check(body)
        if not hmac.compare_digest(mac_of(secret, body).encode(), body.mac.encode()):
            raise _MacIncorrectError("HMAC incorrect")
        self._logins.check_device(body.device_id, body.initial_device_display_name)
        account = NewAccount(
            body.username,
            body.password,
            is_admin=body.admin,
            user_type=body.user_type or None,
            display_name=body.displayname,
        )
        user_id = await self._registration.create(account)
        answer: dict[str, Any] = {"user_id": user_id, "home_server": self._server_name}
        if not body.inhibit_login:
            issued = await self._logins.open_session(
                user_id,
                device_id=body.device_id,
                display_name=body.initial_device_display_name,
                with_refresh_token=body.refresh_token,
            )
            answer |= issued.body()
        return json_response(answer)

    def _secret(self) -> str:
        if not self._shared_secret:
            raise UnknownError("Shared secret registration is not enabled")
        return self._shared_secret


def _check(body: AdminRegisterBody) -> None:
    for name, text in (("username", body.username), ("password", body.password)):
        if not 0 < len(text) <= _TEXT_CHARACTERS_MAX or "\0" in text:
            raise InvalidParam(f"The {name} must have 1 to {_TEXT_CHARACTERS_MAX} characters and no NUL.")
    if body.user_type and body.user_type not in _USER_TYPES:
        raise InvalidParam("The user type must be bot or support.")
