"""Tokens that a user hands on: to log in somewhere else once, or to show another service who they are.

Spec: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv1loginget_token
"""

from homeserver.accounts.token_format import hash_of
from homeserver.core.errors import Forbidden, UnknownToken
from homeserver.runtime.clock import Clock
from homeserver.runtime.randomness import Randomness
from storage.pool import Database
from storage.tables import short_lived_tokens

__all__ = ["LOGIN_LIFETIME_MS", "OPENID_LIFETIME_MS", "REDIRECT_LIFETIME_MS", "ShortLivedTokens"]

LOGIN_LIFETIME_MS = 120_000
"""What the specification recommends."""
REDIRECT_LIFETIME_MS = 30_000
"""NOTSPEC: five seconds are recommended, but many a web client takes longer to load before it can log in."""
OPENID_LIFETIME_MS = 3_600_000
_LOGIN, _OPENID = "login", "openid"


class ShortLivedTokens:
    """Gives such tokens out and takes them in.

    Args:
        database: where their hashes are.
        clock: ends them.
        randomness: makes them up.
    """

    def __init__(self, *, database: Database, clock: Clock, randomness: Randomness) -> None:
        self._database = database
        self._clock = clock
        self._randomness = randomness

    async def create_for_login(self, user_id: str) -> str:
        """Make a token with which this user can log in once, within two minutes (`m.login.token`)."""
        return await self._create("isl_", user_id, _LOGIN, LOGIN_LIFETIME_MS)

    async def create_for_redirect(self, user_id: str) -> str:
        """Make such a token that a browser carries to a client at once, in the URL."""
        return await self._create("isl_", user_id, _LOGIN, REDIRECT_LIFETIME_MS)

    async def log_in_with(self, token: str) -> str:
        """Use a login token up; returns whose it is.

        Raises:
            Forbidden: it is none, or used up, or over.
        """
        user_id = await short_lived_tokens.take(
            self._database, hash_of(token), _LOGIN, self._clock.now_ms()
        )
        if user_id is None:
            raise Forbidden("This login token is not valid (any more).")
        return user_id

    async def create_for_openid(self, user_id: str) -> str:
        """Make a token that tells whoever has it, for an hour, that they talk with this user."""
        return await self._create("iso_", user_id, _OPENID, OPENID_LIFETIME_MS)

    async def openid_user(self, token: str) -> str:
        """Tell whose an OpenID token is.

        Raises:
            UnknownToken: it is none, or over.
        """
        user_id = await short_lived_tokens.find(
            self._database, hash_of(token), _OPENID, self._clock.now_ms()
        )
        if user_id is None:
            raise UnknownToken("This OpenID token is not valid (any more).")
        return user_id

    async def _create(self, prefix: str, user_id: str, purpose: str, lifetime_ms: int) -> str:
        token = prefix + self._randomness.token_urlsafe(32)
        now_ms = self._clock.now_ms()
        await short_lived_tokens.forget_expired(self._database, now_ms)
        await short_lived_tokens.add(self._database, hash_of(token), user_id, purpose, now_ms + lifetime_ms)
        return token
