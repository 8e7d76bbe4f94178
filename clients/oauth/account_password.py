"""The part of the account page on the password.

Spec: https://spec.matrix.org/v1.19/client-server-api/#password-management
"""

from collections.abc import Mapping

from clients.oauth.account_views import DEVICES_LIST, PASSWORD, page_path
from clients.oauth.browser import Browser, field, redirect
from homeserver.accounts.oauth.browser_sessions import Visit
from homeserver.accounts.password_changes import PasswordChanges
from homeserver.core.errors import Forbidden, InvalidParam
from homeserver.http.response import Response

__all__ = ["PasswordPart"]


class PasswordPart:
    """Changes the password.

    Args:
        browser: makes forms, and asks for the old password.
        changes: sets the new one.
    """

    def __init__(self, *, browser: Browser, changes: PasswordChanges) -> None:
        self._browser = browser
        self._changes = changes

    async def content(self, visit: Visit, user_id: str) -> str:
        """What the page shows, as HTML."""
        inputs = await self.asked(visit, user_id)
        if inputs is None:
            return "<p>Your account has no password. To give it one, sign this browser out and in again.</p>"
        inputs += field("new_password", "The new one", kind="password", complete="new-password")
        inputs += field("password_again", "The new one, once more", kind="password", complete="new-password")
        inputs += (
            '<label class="check"><input type="checkbox" name="sign_out" value="yes" checked>'
            "<span>Sign all my devices out. Messages that only they can decrypt cannot be read any more:"
            " see first that your keys are backed up.</span></label><button>Change the password</button>"
        )
        return self._browser.form(visit, page_path(PASSWORD), inputs)

    async def asked(self, visit: Visit, user_id: str) -> str | None:
        """What asks for the password before something that is hard to undo, as HTML.

        Without a password, to have signed in lately is enough; None: they have to do it again first.
        """
        if await self._changes.has_password(user_id):
            return field("password", "Your password", kind="password", complete="current-password")
        return "" if visit.is_confirmed else None

    async def check(self, visit: Visit, user_id: str, form: Mapping[str, str]) -> None:
        """Return if a user has shown now, or where there is no password lately, who they are.

        Raises:
            Forbidden: the password is wrong, or it is too long ago.
            LimitExceeded: too many wrong passwords for this account lately.
        """
        if await self._changes.has_password(user_id):
            await self._browser.sessions.confirm(visit, form.get("password", ""))
        elif not visit.is_confirmed:
            raise Forbidden("It is too long ago that you signed in here: sign in again first.")

    async def act(self, visit: Visit, user_id: str, form: Mapping[str, str]) -> Response:
        """Set the password; this browser stays signed in, all others do not.

        Raises:
            MatrixError: it cannot be done.
        """
        password = form.get("new_password", "")
        if password != form.get("password_again", ""):
            raise InvalidParam("The two new passwords are not the same.")
        self._changes.check(password)
        await self.check(visit, user_id, form)
        await self._changes.set(user_id, password, logs_out=form.get("sign_out") == "yes")
        signed_in = await self._browser.sessions.open(user_id, replaces=visit)
        return self._browser.with_cookie(redirect(page_path(DEVICES_LIST)), signed_in, always=True)
