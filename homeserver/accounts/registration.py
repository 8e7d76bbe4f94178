"""Registration: new accounts of this server.

Spec: https://spec.matrix.org/v1.19/client-server-api/#account-registration
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from homeserver.accounts.passwords import Passwords
from homeserver.accounts.text import check_text
from homeserver.core.errors import Forbidden, InvalidParam, InvalidUsername, UserInUse
from homeserver.core.identifiers import (
    IDENTIFIER_BYTES_MAX,
    is_opaque_identifier,
    is_valid_localpart,
)
from homeserver.runtime.clock import Clock
from homeserver.runtime.randomness import Randomness
from storage.pool import Database
from storage.tables import accounts, profiles
from storage.tables.queries import Queries

__all__ = ["DISPLAY_NAME_CHARACTERS_MAX", "NewAccount", "Registration"]

DISPLAY_NAME_CHARACTERS_MAX = 256
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to be made.

    Attributes:
        username: the localpart; upper case is mapped to lower case. None: one is made up.
        password: None: the account cannot log in with a password.
        is_admin: may use the admin API.
        user_type: a word of the admin API, such as `bot`.
        display_name: None: the username as it was given.
        registration_token: counts one use of it; refused if it may not be used any more.
        is_guest: may do little.
    """

    username: str | None
    password: str | None
    is_admin: bool = False
    user_type: str | None = None
    display_name: str | None = None
    registration_token: str | None = None
    is_guest: bool = False


class Registration:
    """Makes accounts."""

    def __init__(
        self,
        *,
        database: Database,
        passwords: Passwords,
        clock: Clock,
        randomness: Randomness,
        server_name: str,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._clock = clock
        self._randomness = randomness
        self._server_name = server_name

    def user_id_for(self, username: str) -> str:
        """The user ID that an account of this name would have.

        Raises:
            InvalidUsername: the grammar forbids it.
        """
        localpart = username.lower()
        if not is_valid_localpart(localpart):
            raise InvalidUsername("A user name may only hold the characters a-z, 0-9 and ._=-/+")
        if localpart.startswith("_"):
            raise InvalidUsername("User names that begin with an underscore belong to application services.")
        user_id = f"@{localpart}:{self._server_name}"
        if len(user_id) > IDENTIFIER_BYTES_MAX:
            raise InvalidUsername(f"A user ID has at most {IDENTIFIER_BYTES_MAX} bytes; try a shorter name.")
        return user_id

    def check_password(self, password: str) -> None:
        """Refuse a password that is too short or too long for a new account.

        Raises:
            WeakPassword: it is.
        """
        self._passwords.check_acceptable(password)

    async def check_available(self, username: str) -> None:
        """Refuse a user name that cannot be registered.

        Raises:
            InvalidUsername: the grammar forbids it.
            UserInUse: somebody has it.
        """
        if await accounts.exists(self._database, self.user_id_for(username)):
            raise UserInUse(f"The user name {username} is taken.")

    async def create(
        self, account: NewAccount, *, also: Callable[[Queries], Awaitable[None]] | None = None
    ) -> str:
        """Make an account with its profile; returns the user ID.

        Args:
            account: to be made.
            also: what is stored with it, in the same transaction; if that raises, nothing is.

        Raises:
            Forbidden: the registration token may not be used any more.
            InvalidUsername: the grammar forbids the name.
            UserInUse: somebody has it.
            WeakPassword: the password is too short or too long.
        """
        username = self._randomness.letters(12, _LETTERS) if account.username is None else account.username
        user_id = self.user_id_for(username)
        display_name = account.username if account.display_name is None else account.display_name
        if display_name is not None:
            check_text(display_name, "The display name", characters_max=DISPLAY_NAME_CHARACTERS_MAX)
        password_hash = None
        if account.password is not None:
            self._passwords.check_acceptable(account.password)
            password_hash = await self._passwords.hash(account.password)
        now_ms = self._clock.now_ms()
        row = accounts.AccountRow(
            user_id, password_hash, account.is_admin, account.user_type, now_ms, account.is_guest
        )
        async with self._database.transaction() as transaction:
            token = account.registration_token
            if token is not None and not await accounts.use_registration_token(transaction, token, now_ms):
                raise Forbidden("This registration token has been used up or has expired.")
            if not await accounts.create(transaction, row):
                raise UserInUse(f"The user name {username} is taken.")
            await profiles.create(transaction, user_id, display_name or None)
            if also is not None:
                await also(transaction)
        return user_id

    async def make_of_guest(self, user_id: str, password: str, registration_token: str | None) -> None:
        """Make a guest's account a user's, with a password; the guest's sessions are the user's from then on.

        Raises:
            Forbidden: the registration token may not be used any more.
            UserInUse: it is no guest's account (any more).
            WeakPassword: the password is too short or too long.
        """
        self._passwords.check_acceptable(password)
        password_hash = await self._passwords.hash(password)
        now_ms, token = self._clock.now_ms(), registration_token
        async with self._database.transaction() as transaction:
            if token is not None and not await accounts.use_registration_token(transaction, token, now_ms):
                raise Forbidden("This registration token has been used up or has expired.")
            if not await accounts.make_of_guest(transaction, user_id, password_hash):
                raise UserInUse("This account is no guest's.")

    async def is_good_token(self, token: str) -> bool:
        """Whether somebody could register with this registration token now."""
        if not is_opaque_identifier(token):
            return False
        return await accounts.has_registration_token(self._database, token, self._clock.now_ms())

    async def create_token(
        self, token: str | None = None, *, uses_max: int | None = None, expires_ms: int | None = None
    ) -> str:
        """Make a registration token; returns it.

        Args:
            token: None: one is made up.
            uses_max: None: any number of accounts.
            expires_ms: None: good for ever.

        Raises:
            InvalidParam: the text is no opaque identifier, or there is such a token already.
        """
        token = self._randomness.token_urlsafe(12) if token is None else token
        # The specification allows 64 characters, fewer than other opaque identifiers.
        if not is_opaque_identifier(token) or len(token) > 64:
            raise InvalidParam("A registration token has 1 to 64 of the characters A-Z, a-z, 0-9 and ._~-")
        now_ms = self._clock.now_ms()
        created = await accounts.create_registration_token(
            self._database, token, uses_max=uses_max, expires_ms=expires_ms, now_ms=now_ms
        )
        if not created:
            raise InvalidParam("There is a registration token of this text already.")
        return token
