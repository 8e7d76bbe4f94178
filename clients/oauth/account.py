"""The account page: what a user has signed in with, their name, and the end of the account.

Spec: https://spec.matrix.org/v1.19/client-server-api/#oauth-20-account-management
"""

from collections.abc import Mapping

from clients.oauth.account_password import PasswordPart
from clients.oauth.account_profile import ProfilePart
from clients.oauth.account_views import (
    CANONICAL,
    CROSS_SIGNING_RESET,
    DEACTIVATE,
    DEVICE_DELETE,
    DEVICE_VIEW,
    DEVICES_LIST,
    PASSWORD,
    PROFILE,
    TITLES,
    device_view,
    devices_view,
    frame,
    page_path,
)  # fmt: skip
from clients.oauth.browser import Browser, failure, login_path, redirect, refusal
from clients.oauth.paths import ACCOUNT
from clients.pages import page
from homeserver.accounts.deactivation import Deactivation
from homeserver.accounts.devices import Devices
from homeserver.accounts.oauth.browser_sessions import Visit
from homeserver.accounts.oauth.connected_clients import ConnectedClients
from homeserver.accounts.oauth.cross_signing_resets import CrossSigningResets
from homeserver.core.errors import Forbidden, InvalidParam, MatrixError
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.errors import status_of
from homeserver.http.request import Request
from homeserver.http.response import Response

__all__ = ["AccountPageEndpoints"]

_SPEC = "https://spec.matrix.org/v1.19/client-server-api/#oauth-20-account-management"


class AccountPageEndpoints:
    """One address, with an action in its query as clients link to it; forms are sent to the same address."""

    def __init__(
        self,
        *,
        browser: Browser,
        devices: Devices,
        connected: ConnectedClients,
        profile: ProfilePart,
        password: PasswordPart,
        deactivation: Deactivation,
        resets: CrossSigningResets,
    ) -> None:
        self._browser = browser
        self._devices = devices
        self._connected = connected
        self._profile = profile
        self._password = password
        self._deactivation = deactivation
        self._resets = resets

    @endpoint("GET", ACCOUNT, authentication=Authentication.NONE, rate_limit=RateLimit.READ, spec=_SPEC)
    async def get_page(self, request: Request) -> Response:
        """Show what the action asks for."""
        visit = await self._browser.visit(request)
        action, device_id = _asked(request)
        if visit.user_id is None:
            return redirect(login_path(page_path(action, device_id)))
        return await self._show(visit, visit.user_id, action, device_id)

    @endpoint(
        "POST",
        ACCOUNT,
        authentication=Authentication.NONE,
        rate_limit=RateLimit.PROFILE,
        body_raw=True,
        spec=_SPEC,
    )
    async def act(self, request: Request) -> Response:
        """Do what the form of an action asks for."""
        action, device_id = _asked(request)
        try:
            visit, form = await self._browser.submitted(request)
        except MatrixError as error:
            return refusal(error)
        if visit.user_id is None:
            return redirect(login_path(page_path(action, device_id)))
        try:
            return await self._act(visit, visit.user_id, (action, device_id), form)
        except MatrixError as error:
            shown = self._profile.unfinished(visit, form) if action == PROFILE else None
            return await self._show(visit, visit.user_id, action, device_id, error, shown)

    async def _act(
        self, visit: Visit, user_id: str, asked: tuple[str, str | None], form: Mapping[str, str]
    ) -> Response:
        action, device_id = asked
        if action == PROFILE:
            done = await self._profile.act(visit, user_id, form)
            if isinstance(done, Response):
                return done
            return await self._show(visit, user_id, action, None, shown=done)
        if action == PASSWORD:
            return await self._password.act(visit, user_id, form)
        if action in {DEVICE_VIEW, DEVICE_DELETE} and device_id is not None:
            await self._devices.find(user_id, device_id)
            await self._devices.delete(user_id, [device_id])
            return redirect(page_path(DEVICES_LIST))
        if action == CROSS_SIGNING_RESET:
            await self._password.check(visit, user_id, form)
            await self._resets.approve(user_id)
            return page("Approved", _APPROVED)
        if action == DEACTIVATE:
            if form.get("sure") != "yes":
                raise Forbidden("Say that you are sure, or leave this page.")
            await self._password.check(visit, user_id, form)
            await self._deactivation.deactivate(user_id, erase=form.get("erase") == "yes")
            await self._browser.sessions.sign_out_everywhere(user_id)
            return page("Your account is deactivated", _DEACTIVATED)
        raise InvalidParam("There is nothing to do here.")

    async def _show(
        self, visit: Visit, user_id: str, action: str, device_id: str | None,
        error: MatrixError | None = None, shown: str | None = None,
    ) -> Response:  # fmt: skip
        status = 200 if error is None else status_of(error)
        try:
            content = shown or await self._content(visit, user_id, action, device_id)
        except MatrixError as missing:
            error, status, content = missing, status_of(missing), ""
        sign_out = self._browser.form(
            visit, login_path(ACCOUNT, page_path=ACCOUNT + "/logout"),
            '<button class="second">Sign this browser out</button>',
        )  # fmt: skip
        content = failure(error) + content + frame(user_id, action, sign_out)
        return page(TITLES[action], content, status=status)

    async def _content(self, visit: Visit, user_id: str, action: str, device_id: str | None) -> str:
        if action == PROFILE:
            return await self._profile.content(visit, user_id)
        if action == PASSWORD:
            return await self._password.content(visit, user_id)
        if action in _FORMS:
            asked = await self._password.asked(visit, user_id)
            if asked is None:
                return "<p>For this, sign this browser out and in again.</p>"
            before, button = _FORMS[action]
            return self._browser.form(visit, page_path(action), f"{before}{asked}<button>{button}</button>")
        if action in {DEVICE_VIEW, DEVICE_DELETE} and device_id is not None:
            device = await self._devices.find(user_id, device_id)
            client = (await self._connected.of_user(user_id)).get(device_id)
            button = "<button>Sign this device out</button>"
            form = self._browser.form(visit, page_path(DEVICE_DELETE, device_id), button)
            return device_view(device, client) + form
        devices = await self._devices.of_user(user_id)
        return devices_view(devices, await self._connected.of_user(user_id))


def _asked(request: Request) -> tuple[str, str | None]:
    action = request.query_maybe("action") or DEVICES_LIST
    # What is unknown leads to the page that leads to everything.
    action = CANONICAL.get(action, action)
    device_id = request.query_maybe("device_id")
    return (action if action in TITLES else DEVICES_LIST), device_id


_APPROVED = '<p role="status">Go back to your client and finish there, within ten minutes.</p>'
_DEACTIVATED = '<p role="status">All your devices are signed out.</p>'
_RESET = (
    "<p>Your client wants to replace the keys by which others know you. Do this only if you have lost all"
    " your devices and your recovery key: everybody will have to verify you again.</p>"
    "<p>If you have not asked for it in your client just now, do not approve it.</p>"
)
_DEACTIVATION = (
    "<p>Nobody will be able to use this account again, you neither; its name stays taken."
    " It leaves all its rooms, and its keys are deleted, so that you cannot read encrypted messages.</p>"
    '<label class="check"><input type="checkbox" name="erase" value="yes">'
    "Show what I said to nobody who joins a room later.</label>"
    '<label class="check"><input type="checkbox" name="sure" value="yes" required>'
    "Yes, deactivate my account for good.</label>"
)
_FORMS = {CROSS_SIGNING_RESET: (_RESET, "Approve"), DEACTIVATE: (_DEACTIVATION, "Deactivate the account")}
