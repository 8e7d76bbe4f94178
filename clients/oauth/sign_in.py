"""The pages on which people sign in, make an account and sign out.

Spec: https://spec.matrix.org/v1.19/client-server-api/#user-registration
"""

from collections.abc import Mapping
from html import escape

from clients.oauth.browser import (
    Browser,
    failure,
    field,
    local_path,
    login_path,
    redirect,
    refusal,
    terms_field,
)
from clients.oauth.paths import LOGIN, LOGOUT, REGISTER
from clients.oauth.upstream import upstream_path
from clients.pages import page
from homeserver.accounts.oauth.browser_sessions import Visit
from homeserver.accounts.oauth.web_registration import WebRegistration
from homeserver.core.errors import InvalidParam, MatrixError
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.errors import status_of
from homeserver.http.request import Request
from homeserver.http.response import Response

__all__ = ["SignInEndpoints"]

_SPEC = "https://spec.matrix.org/v1.19/client-server-api/#oauth-20-api"
_REGISTER_SPEC = "https://spec.matrix.org/v1.19/client-server-api/#user-registration"


class SignInEndpoints:
    """Signs browsers in and out.

    Args:
        browser: reads and writes cookies.
        registration: makes accounts, as far as the operator allows.
        server_name: shown to people.
        providers: names of the other services by which people can sign in, by their IDs.
    """

    def __init__(
        self, *, browser: Browser, registration: WebRegistration, server_name: str,
        providers: Mapping[str, str],
    ) -> None:  # fmt: skip
        self._browser = browser
        self._registration = registration
        self._server_name = server_name
        self._providers = providers

    @endpoint("GET", LOGIN, authentication=Authentication.NONE, rate_limit=RateLimit.READ, spec=_SPEC)
    async def get_login(self, request: Request) -> Response:
        """Show the form to sign in."""
        visit = await self._browser.visit(request)
        goes_on = _goes_on(request)
        if visit.user_id is not None:
            return redirect(goes_on)
        return self._login_page(visit, goes_on, None)

    @endpoint(
        "POST",
        LOGIN,
        authentication=Authentication.NONE,
        rate_limit=RateLimit.LOGIN,
        body_raw=True,
        spec=_SPEC,
    )
    async def log_in(self, request: Request) -> Response:
        """Sign the browser in."""
        goes_on = _goes_on(request)
        try:
            visit, form = await self._browser.submitted(request)
        except MatrixError as error:
            return refusal(error)
        try:
            signed_in = await self._browser.sessions.sign_in(
                form.get("user", "").strip(), form.get("password", ""), replaces=visit
            )
        except MatrixError as error:
            return self._login_page(visit, goes_on, error, form.get("user", "")[:255])
        return self._browser.with_cookie(redirect(goes_on), signed_in, always=True)

    @endpoint(
        "POST",
        LOGOUT,
        authentication=Authentication.NONE,
        rate_limit=RateLimit.READ,
        body_raw=True,
        spec=_SPEC,
    )
    async def log_out(self, request: Request) -> Response:
        """Sign the browser out; clients stay signed in."""
        try:
            visit, _ = await self._browser.submitted(request)
        except MatrixError as error:
            return refusal(error)
        await self._browser.sessions.sign_out(visit)
        return redirect(login_path(_goes_on(request)))

    @endpoint(
        "GET", REGISTER, authentication=Authentication.NONE, rate_limit=RateLimit.READ, spec=_REGISTER_SPEC
    )
    async def get_register(self, request: Request) -> Response:
        """Show the form to make an account."""
        visit = await self._browser.visit(request)
        goes_on = _goes_on(request)
        if visit.user_id is not None:
            return redirect(goes_on)
        return self._register_page(visit, goes_on, None, {})

    @endpoint(
        "POST",
        REGISTER,
        authentication=Authentication.NONE,
        rate_limit=RateLimit.REGISTRATION,
        body_raw=True,
        spec=_REGISTER_SPEC,
    )
    async def register(self, request: Request) -> Response:
        """Make an account and sign the browser in."""
        goes_on = _goes_on(request)
        try:
            visit, form = await self._browser.submitted(request)
        except MatrixError as error:
            return refusal(error)
        try:
            if form.get("password", "") != form.get("password_again", ""):
                raise InvalidParam("The two passwords are not the same.")
            user_id = await self._registration.register(form)
            signed_in = await self._browser.sessions.open(user_id, replaces=visit)
        except MatrixError as error:
            return self._register_page(visit, goes_on, error, form)
        return self._browser.with_cookie(redirect(goes_on), signed_in, always=True)

    def _login_page(
        self, visit: Visit, goes_on: str, error: MatrixError | None, user: str = ""
    ) -> Response:
        fields = (
            field("user", "User name", complete="username", value=user)
            + field("password", "Password", kind="password", complete="current-password")
            + "<button>Sign in</button>"
        )
        form = self._browser.form(visit, login_path(goes_on), fields)
        other = ""
        if self._registration.is_open:
            path = escape(login_path(goes_on, page_path=REGISTER))
            other = f'<p class="after">No account yet? <a href="{path}">Make one</a>.</p>'
        title = f"Sign in to {self._server_name}"
        status = 200 if error is None else status_of(error)
        content = failure(error) + form + self._upstream(goes_on) + other
        return self._browser.with_cookie(page(title, content, status=status), visit)

    def _register_page(
        self, visit: Visit, goes_on: str, error: MatrixError | None, form: Mapping[str, str]
    ) -> Response:
        title = f"Make an account on {self._server_name}"
        back = f'<p class="after">You have one? <a href="{escape(login_path(goes_on))}">Sign in</a>.</p>'
        back = self._upstream(goes_on) + back
        reason = self._registration.closed_because
        if reason is not None:
            return self._browser.with_cookie(page(title, f"<p>{escape(reason)}</p>{back}", status=403), visit)
        fields = field("user", "User name", complete="username", value=form.get("user", "")[:255])
        fields += field("password", "Password", kind="password", complete="new-password")
        fields += field("password_again", "Password, once more", kind="password", complete="new-password")
        if self._registration.needs_token:
            fields += field("token", "Registration token", value=form.get("token", "")[:64])
        fields += terms_field(self._registration.documents)
        content = self._browser.form(
            visit, login_path(goes_on, page_path=REGISTER), fields + "<button>Make the account</button>"
        )
        status = 200 if error is None else status_of(error)
        return self._browser.with_cookie(page(title, failure(error) + content + back, status=status), visit)

    def _upstream(self, goes_on: str) -> str:
        """The other services by which people can sign in, as HTML."""
        links = "".join(
            f'<p><a class="button" href="{escape(upstream_path(one, goes_on))}">'
            f"Continue with {escape(name)}</a></p>"
            for one, name in self._providers.items()
        )
        return f'<nav class="after" aria-label="Other ways">{links}</nav>' if links else ""


def _goes_on(request: Request) -> str:
    return local_path(request.query_maybe("continue"))
