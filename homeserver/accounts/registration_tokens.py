"""Registration tokens as administrators see them: listed, made, changed and taken back.

Spec: https://spec.matrix.org/v1.19/client-server-api/#token-authenticated-registration
"""

from homeserver.accounts.registration import Registration
from homeserver.accounts.uia import LIFETIME_MS
from homeserver.core.errors import InvalidParam, NotFound
from homeserver.core.identifiers import is_opaque_identifier
from homeserver.runtime.clock import Clock
from homeserver.runtime.randomness import Randomness
from storage.pool import Database
from storage.tables import registration_tokens
from storage.tables.registration_tokens import RegistrationTokenRow

__all__ = ["LENGTH_MAX", "RegistrationTokens"]

LENGTH_MAX = 64
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_USES_MAX = 2**31 - 1
_EXPIRES_MS_MAX = 2**53


class RegistrationTokens:
    """Keeps the tokens.

    Args:
        database: where they are.
        registration: makes them.
        clock: ends them.
        randomness: makes up their texts.
    """

    def __init__(
        self, *, database: Database, registration: Registration, clock: Clock, randomness: Randomness
    ) -> None:
        self._database = database
        self._registration = registration
        self._clock = clock
        self._randomness = randomness

    async def list(self, *, is_valid: bool | None = None) -> list[RegistrationTokenRow]:
        """All tokens; with `is_valid` only those that can, or cannot, be used now."""
        rows = await registration_tokens.list_all(self._database, self._sessions_after_ms())
        return [row for row in rows if is_valid is None or self._is_valid(row) == is_valid]

    async def find(self, token: str) -> RegistrationTokenRow:
        """One token.

        Raises:
            NotFound: there is none of that text.
        """
        row = None
        if is_opaque_identifier(token):
            row = await registration_tokens.find(self._database, token, self._sessions_after_ms())
        if row is None:
            raise NotFound("There is no such registration token.")
        return row

    async def create(
        self, token: str | None, *, length: int, uses_max: int | None, expires_ms: int | None
    ) -> RegistrationTokenRow:
        """Make a token.

        Args:
            token: its text; None: one of `length` characters is made up.
            length: 1 to 64.
            uses_max: None: any number of accounts.
            expires_ms: wall time; None: good for ever.

        Raises:
            InvalidParam: something of it cannot be, or there is such a token.
        """
        if not 1 <= length <= LENGTH_MAX:
            raise InvalidParam(f"The length must be from 1 to {LENGTH_MAX}.")
        self._check_bounds(uses_max, expires_ms)
        text = self._randomness.letters(length, _LETTERS) if token is None else token
        await self._registration.create_token(text, uses_max=uses_max, expires_ms=expires_ms)
        return await self.find(text)

    async def set_bounds(self, token: str, uses_max: int | None, expires_ms: int | None) -> None:
        """Say how often and how long a token may be used; None: any number of times, or for ever.

        Raises:
            InvalidParam: not a number of uses, or a time that has passed.
            NotFound: there is no such token.
        """
        old = await self.find(token)
        self._check_bounds(uses_max, None if expires_ms == old.expires_ms else expires_ms)
        if not await registration_tokens.set_bounds(self._database, token, uses_max, expires_ms):
            raise NotFound("There is no such registration token.")

    async def delete(self, token: str) -> None:
        """Take a token back.

        Raises:
            NotFound: there is none of that text.
        """
        if not is_opaque_identifier(token) or not await registration_tokens.delete(self._database, token):
            raise NotFound("There is no such registration token.")

    def _check_bounds(self, uses_max: int | None, expires_ms: int | None) -> None:
        if uses_max is not None and not 0 <= uses_max <= _USES_MAX:
            raise InvalidParam(f"The number of uses must be from 0 to {_USES_MAX}, or null.")
        if expires_ms is not None and not self._clock.now_ms() <= expires_ms <= _EXPIRES_MS_MAX:
            raise InvalidParam("The token must expire in the future, given in milliseconds since 1970.")

    def _is_valid(self, row: RegistrationTokenRow) -> bool:
        is_left = row.uses_max is None or row.uses < row.uses_max
        return is_left and (row.expires_ms is None or row.expires_ms > self._clock.now_ms())

    def _sessions_after_ms(self) -> int:
        return self._clock.now_ms() - LIFETIME_MS
