"""Guests: accounts that anyone gets without more ado, that may do little, and that can become a user's.

Spec: https://spec.matrix.org/v1.19/client-server-api/#guest-access
"""

from homeserver.accounts.access_tokens import AccessTokens, IssuedTokens
from homeserver.accounts.login import Logins
from homeserver.accounts.registration import NewAccount, Registration
from homeserver.core.errors import Forbidden, InvalidUsername, UnknownToken

__all__ = ["Guests"]


class Guests:
    """Takes guests in.

    Args:
        registration: makes accounts.
        logins: opens their sessions.
        access_tokens: knows guests again.
    """

    def __init__(self, *, registration: Registration, logins: Logins, access_tokens: AccessTokens) -> None:
        self._registration = registration
        self._logins = logins
        self._access_tokens = access_tokens

    async def create(self, device_name: str | None) -> tuple[str, IssuedTokens]:
        """Make a guest's account; returns its user ID and its tokens.

        Raises:
            InvalidParam: the device's name is too long or cannot be stored.
        """
        self._logins.check_device(None, device_name)
        user_id = await self._registration.create(NewAccount(None, None, is_guest=True))
        issued = await self._logins.open_session(
            user_id, device_id=None, display_name=device_name, with_refresh_token=False
        )
        return user_id, issued

    async def guest_with(self, token: str, username: str | None) -> str:
        """Tell which guest wants to become a user.

        Args:
            token: the guest's access token.
            username: the localpart, which must be the guest's own.

        Raises:
            Forbidden: it is no guest's token.
            InvalidUsername: the name is not the guest's.
        """
        try:
            requester = await self._access_tokens.authenticate(token)
        except UnknownToken:
            raise Forbidden("The guest's access token is not valid.") from None
        if not requester.is_guest:
            raise Forbidden("That is not the access token of a guest.")
        if username is None or self._registration.user_id_for(username) != requester.user_id:
            raise InvalidUsername("A guest who registers keeps the name: give it as the username.")
        return requester.user_id

    async def make_user(self, user_id: str, password: str, registration_token: str | None) -> None:
        """Make a guest a user.

        Raises:
            Forbidden: the registration token may not be used any more.
            UserInUse: it is no guest (any more).
            WeakPassword: the password is too short or too long.
        """
        await self._registration.make_of_guest(user_id, password, registration_token)
        self._access_tokens.forget_all()
