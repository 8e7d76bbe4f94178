"""Registration of new users."""

from typing import Any, Literal, Protocol

import msgspec

from homeserver.accounts.account_data import AccountData
from homeserver.accounts.guests import Guests
from homeserver.accounts.login import Logins
from homeserver.accounts.registration import NewAccount, Registration
from homeserver.accounts.stages import TOKEN, Stages
from homeserver.accounts.terms import TERMS
from homeserver.accounts.uia import InteractiveAuthentication
from homeserver.core.errors import Forbidden, GuestAccessForbidden, InvalidParam, MissingParam
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["RegistrationBody", "RegistrationEndpoints", "RegistrationMode", "RegistrationPolicy"]

RegistrationMode = Literal["open", "token", "closed"]

_ACCEPTED_TERMS = "m.accepted_terms"


class RegistrationPolicy(Protocol):
    """Who may make an account, as the configuration says it."""

    @property
    def mode(self) -> RegistrationMode:
        """`open` to all, only with a registration `token`, or `closed`."""

    @property
    def requires_email(self) -> bool:
        """Whether every new user has to have an e-mail address."""


class RegistrationBody(msgspec.Struct):
    """What a client sends to register."""

    auth: dict[str, Any] | None = None
    username: str | None = None
    password: str | None = None
    device_id: str | None = None
    initial_device_display_name: str | None = None
    inhibit_login: bool | None = None
    refresh_token: bool | None = None
    guest_access_token: str | None = None


class RegistrationEndpoints:
    """Lets people make accounts, as far as the operator allows.

    Args:
        guests: None: there are none.
        policy: who may make an account.
    """

    def __init__(
        self,
        *,
        registration: Registration,
        logins: Logins,
        interactive: InteractiveAuthentication,
        stages: Stages,
        account_data: AccountData,
        guests: Guests | None,
        policy: RegistrationPolicy,
        server_name: str,
    ) -> None:
        self._registration = registration
        self._logins = logins
        self._interactive = interactive
        self._mode = policy.mode
        self._requires_email = policy.requires_email
        self._server_name = server_name
        self._stages = stages
        self._account_data = account_data
        self._guests = guests

    @endpoint(
        "POST",
        "/_matrix/client/v3/register",
        authentication=Authentication.NONE,
        rate_limit=RateLimit.REGISTRATION,
        body=RegistrationBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3register",
    )
    async def register(self, request: Request) -> Response:
        """Make an account and log it in."""
        kind = request.query_text("kind", "user")
        if kind == "guest":
            return await self._register_guest(request.body)
        if kind != "user":
            raise InvalidParam("The kind of account must be user.")
        self._check_open()
        body: RegistrationBody = request.body
        # What is wrong with the account itself is told before anybody is asked to pass stages for it.
        guest_id = await self._guest_id(body)
        if body.username is not None and guest_id is None:
            await self._registration.check_available(body.username)
        if body.password is not None:
            self._registration.check_password(body.password)
        self._logins.check_device(body.device_id, body.initial_device_display_name)
        passed = await self._interactive.require(
            "register",
            self._stages.for_registration(
                needs_token=self._mode == "token", needs_email=self._requires_email
            ),
            self._stages.checks(None),
            body.auth,
            parameters=_parameters(body),
            params=self._stages.params(),
        )
        if body.password is None:
            raise MissingParam("Give a password for the new account.")
        if guest_id is not None and self._guests is not None:
            user_id = guest_id
            await self._guests.make_user(guest_id, body.password, passed.get(TOKEN))
        else:
            account = NewAccount(body.username, body.password, registration_token=passed.get(TOKEN))
            user_id = await self._registration.create(account)
        if self._stages.addresses is not None:
            await self._stages.addresses.add_registered(user_id, passed)
        if TERMS in passed and self._stages.terms is not None:
            await self._account_data.set(
                user_id, _ACCEPTED_TERMS, {"accepted": self._stages.terms.urls()}
            )
        answer: dict[str, Any] = {"user_id": user_id, "home_server": self._server_name}
        if not body.inhibit_login:
            issued = await self._logins.open_session(
                user_id,
                device_id=body.device_id,
                display_name=body.initial_device_display_name,
                with_refresh_token=bool(body.refresh_token),
            )
            answer |= issued.body()
        return json_response(answer)

    @endpoint(
        "GET",
        "/_matrix/client/v3/register/available",
        authentication=Authentication.NONE,
        rate_limit=RateLimit.REGISTRATION,
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3registeravailable",
    )
    async def get_available(self, request: Request) -> Response:
        """Tell whether a user name is free."""
        self._check_open()
        await self._registration.check_available(request.query_text("username"))
        return json_response({"available": True})

    @endpoint(
        "GET",
        "/_matrix/client/v1/register/m.login.registration_token/validity",
        authentication=Authentication.NONE,
        rate_limit=RateLimit.REGISTRATION,
        spec="https://spec.matrix.org/v1.19/client-server-api/"
        "#get_matrixclientv1registermloginregistration_tokenvalidity",
    )
    async def get_token_validity(self, request: Request) -> Response:
        """Tell whether a registration token could be used now."""
        self._check_open()
        is_valid = await self._registration.is_good_token(request.query_text("token"))
        return json_response({"valid": is_valid})

    async def _register_guest(self, body: RegistrationBody) -> Response:
        if self._guests is None:
            raise GuestAccessForbidden("This server has no guests; register an account.")
        user_id, issued = await self._guests.create(body.initial_device_display_name)
        return json_response({"user_id": user_id, "home_server": self._server_name, **issued.body()})

    async def _guest_id(self, body: RegistrationBody) -> str | None:
        if body.guest_access_token is None:
            return None
        if self._guests is None:
            raise GuestAccessForbidden("This server has no guests; register an account.")
        return await self._guests.guest_with(body.guest_access_token, body.username)

    def _check_open(self) -> None:
        if self._mode == "closed":
            raise Forbidden("Registration is closed; ask the operator of this server for an account.")


def _parameters(body: RegistrationBody) -> dict[str, str | None] | None:
    """What may not change once a stage is passed; None where a client only asks for the flows."""
    if body.username is None and body.password is None:
        return None
    name = None if body.username is None else body.username.lower()
    return {"username": name, "password": body.password}
