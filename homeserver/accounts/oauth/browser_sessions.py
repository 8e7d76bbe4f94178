"""Browsers that are signed in on the web pages of this server, by a cookie; they are no devices.

Every browser that sees a form gets a cookie with a random token. Signing in gives it another, which is
stored, by its hash. What protects forms from other sites is derived from the cookie, so it needs no place
of its own.
"""

import hashlib
import hmac
from dataclasses import dataclass

from homeserver.accounts.login import Logins
from homeserver.accounts.token_format import hash_of
from homeserver.core.errors import UserLocked
from homeserver.runtime.clock import Clock
from homeserver.runtime.randomness import Randomness
from storage.pool import Database
from storage.tables import browser_sessions

__all__ = ["LIFETIME_MS", "BrowserSessions", "Visit"]

LIFETIME_MS = 12 * 3_600_000
"""After this the password has to be given again."""

CONFIRMED_MS_MAX = 10 * 60_000
"""What is hard to undo asks for the password again if it was given longer ago."""

_TOKEN_CHARACTERS_MAX = 100


@dataclass(frozen=True, slots=True)
class Visit:
    """A browser, as it shows itself with its cookie.

    Attributes:
        token: what the cookie holds.
        is_new: the browser does not have the cookie yet.
        user_id: as whom it is signed in, if it is.
        is_confirmed: the password was given lately.
        is_suspended: the account may do less than others.
    """

    token: str
    is_new: bool = False
    user_id: str | None = None
    is_confirmed: bool = False
    is_suspended: bool = False

    @property
    def form_key(self) -> str:
        """What each form has to bring along: other sites cannot know it."""
        return hmac.new(self.token.encode(), b"form", hashlib.sha256).hexdigest()

    def owns(self, form_key: str) -> bool:
        """Whether a form was made for this browser."""
        given = form_key.encode("utf-8", "surrogatepass")
        return not self.is_new and hmac.compare_digest(self.form_key.encode(), given)


class BrowserSessions:
    """Knows which browser is signed in as whom."""

    def __init__(
        self, *, database: Database, logins: Logins, clock: Clock, randomness: Randomness
    ) -> None:
        self._database = database
        self._logins = logins
        self._clock = clock
        self._randomness = randomness

    async def visit(self, token: str | None) -> Visit:
        """Who a browser is signed in as.

        Args:
            token: from its cookie, if it has one.
        """
        if not token or len(token) > _TOKEN_CHARACTERS_MAX or not token.isascii():
            return Visit(self._randomness.token_urlsafe(32), is_new=True)
        now_ms = self._clock.now_ms()
        row = await browser_sessions.find(self._database, hash_of(token), now_ms - LIFETIME_MS)
        if row is None:
            return Visit(token)
        is_confirmed = row.confirmed_ms > now_ms - CONFIRMED_MS_MAX
        return Visit(
            token, user_id=row.user_id, is_confirmed=is_confirmed, is_suspended=row.is_suspended
        )

    async def sign_in(self, user: str, password: str, *, replaces: Visit) -> Visit:
        """Sign a browser in with a password; it gets a new cookie, so that nobody can have set it before.

        Raises:
            Forbidden: the password is wrong or there is no such account, which is not told apart.
            LimitExceeded: too many wrong passwords for this account lately.
            UserLocked: the account is locked.
        """
        user_id = await self._logins.user_with_password(user, password)
        return await self.open(user_id, replaces=replaces)

    async def open(self, user_id: str, *, replaces: Visit) -> Visit:
        """Sign a browser in as somebody who has shown who they are.

        Raises:
            UserLocked: the account is locked.
        """
        now_ms = self._clock.now_ms()
        token = self._randomness.token_urlsafe(32)
        await browser_sessions.delete_older_than(self._database, now_ms - LIFETIME_MS)
        await browser_sessions.delete(self._database, hash_of(replaces.token))
        await browser_sessions.add(self._database, hash_of(token), user_id, now_ms)
        visit = await self.visit(token)
        if visit.user_id is None:
            await browser_sessions.delete(self._database, hash_of(token))
            raise UserLocked("This account is locked; ask the operator of this server.")
        return visit

    async def confirm(self, visit: Visit, password: str) -> None:
        """Note that the password of a browser's user was given just now.

        Raises:
            Forbidden: it is wrong.
            LimitExceeded: too many wrong passwords for this account lately.
        """
        assert visit.user_id is not None, "only who is signed in confirms"
        await self._logins.user_with_password(visit.user_id, password)
        await browser_sessions.confirm(self._database, hash_of(visit.token), self._clock.now_ms())

    async def confirm_if_long_ago(self, visit: Visit, password: str) -> None:
        """Return if the password of a browser's user was given lately, or is now.

        Raises:
            Forbidden: it is wrong.
            LimitExceeded: too many wrong passwords for this account lately.
        """
        if not visit.is_confirmed:
            await self.confirm(visit, password)

    async def sign_out(self, visit: Visit) -> None:
        """End the session of a browser."""
        await browser_sessions.delete(self._database, hash_of(visit.token))

    async def sign_out_everywhere(self, user_id: str) -> None:
        """End the sessions of all browsers of a user."""
        await browser_sessions.delete_of_user(self._database, user_id)
