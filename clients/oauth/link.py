"""The pages on which a user lets a client in that has no browser of its own.

Spec: https://spec.matrix.org/v1.19/client-server-api/#device-authorisation-flow
"""

from html import escape
from urllib.parse import urlencode

from clients.oauth.authorize import consent, languages_of
from clients.oauth.browser import Browser, failure, field, login_path, redirect, refusal
from clients.oauth.paths import LINK
from clients.pages import page
from homeserver.accounts.oauth.browser_sessions import Visit
from homeserver.accounts.oauth.device_grants import DeviceGrants, WaitingClient, shown_code
from homeserver.core.errors import MatrixError
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.errors import status_of
from homeserver.http.request import Request
from homeserver.http.response import Response

__all__ = ["LinkEndpoints"]

_SPEC = "https://spec.matrix.org/v1.19/client-server-api/#device-authorisation-flow"
_CODE = "user_code"


class LinkEndpoints:
    """Asks for the code, shows who waits for it, and takes the decision."""

    def __init__(self, *, browser: Browser, device_grants: DeviceGrants) -> None:
        self._browser = browser
        self._device_grants = device_grants

    @endpoint("GET", LINK, authentication=Authentication.NONE, rate_limit=RateLimit.READ, spec=_SPEC)
    async def get_page(self, request: Request) -> Response:
        """Ask for the code. One that came with the address is filled in, not looked up: people compare it."""
        visit = await self._browser.visit(request)
        code = (request.query_maybe(_CODE) or "")[:50]
        if visit.user_id is None:
            return redirect(login_path(f"{LINK}?{urlencode({_CODE: code})}" if code else LINK))
        return self._code_page(visit, code, None)

    @endpoint(
        "POST",
        LINK,
        authentication=Authentication.NONE,
        rate_limit=RateLimit.READ,
        body_raw=True,
        spec=_SPEC,
    )
    async def go_on(self, request: Request) -> Response:
        """Look the code up, or take the decision."""
        try:
            visit, form = await self._browser.submitted(request)
        except MatrixError as error:
            return refusal(error)
        if visit.user_id is None:
            return redirect(login_path(LINK))
        code, decision = form.get(_CODE, "")[:50], form.get("decision")
        try:
            waiting = await self._device_grants.find(
                code, user_id=visit.user_id, address=request.client_address
            )
            if decision not in {"allow", "deny"}:
                return self._consent_page(visit, visit.user_id, waiting, languages_of(request))
            is_allowed = decision == "allow"
            await self._device_grants.decide(waiting, user_id=visit.user_id, is_allowed=is_allowed)
        except MatrixError as error:
            return self._code_page(visit, code, error)
        if is_allowed:
            return page("Done", '<p role="status">Go on where you have begun: it is being signed in.</p>')
        return page("Not allowed", '<p role="status">The device has not been signed in.</p>')

    def _code_page(self, visit: Visit, code: str, error: MatrixError | None) -> Response:
        content = (
            "<p>Type the code that is shown where you want to sign in.</p>"
            + failure(error)
            + self._browser.form(visit, LINK, field(_CODE, "Code", value=code) + "<button>Go on</button>")
        )
        return page("Sign in another device", content, status=200 if error is None else status_of(error))

    def _consent_page(
        self, visit: Visit, user_id: str, waiting: WaitingClient, languages: tuple[str, ...]
    ) -> Response:
        note = f"as the device <code>{escape(waiting.scope.device_id)}</code>"
        code = shown_code(waiting.user_code)
        content = consent(waiting.metadata, languages, user_id, note, is_proven=False)
        content += (
            f"<p>The code there must be <strong>{code}</strong>."
            " If somebody sent you here, do not allow it: they would read all that you can read.</p>"
        )
        buttons = (
            f'<input type="hidden" name="{_CODE}" value="{code}">'
            '<p><button name="decision" value="allow">Allow</button> '
            '<button name="decision" value="deny" class="second">Do not allow</button></p>'
        )
        return page("Sign in another device?", content + self._browser.form(visit, LINK, buttons))
