"""The page that hands a login token to a client of the legacy sign-in, once the user has agreed.

Spec: https://spec.matrix.org/v1.19/client-server-api/#client-login-via-sso
"""

from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode

from clients.oauth.browser import Browser, allowing_return, login_path, onward, redirect, refusal
from clients.oauth.paths import LOGOUT, SSO
from clients.pages import page
from homeserver.accounts.short_lived_tokens import ShortLivedTokens
from homeserver.core.errors import InvalidParam, MatrixError
from homeserver.core.oauth.client_redirects import is_trusted, place_of, redirect_of, with_login_token
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response

__all__ = ["REDIRECT_URL", "SsoEndpoints", "asked_redirect", "sso_path"]

_SPEC = "https://spec.matrix.org/v1.19/client-server-api/#client-login-via-sso"
REDIRECT_URL = "redirectUrl"


def asked_redirect(request: Request) -> str:
    """Where a client wants the browser back.

    Raises:
        InvalidParam: nowhere, or where no token may be sent.
    """
    url = redirect_of(request.query_text(REDIRECT_URL, ""))
    if url is None:
        raise InvalidParam("The link of your app is not good: redirectUrl must be a URL of the app.")
    return url


def sso_path(url: str) -> str:
    """Where a signed-in user is asked whether a client may have a token.

    Args:
        url: the client's redirect URL, as `asked_redirect` returns it.
    """
    return f"{SSO}?{urlencode({REDIRECT_URL: url})}"


class SsoEndpoints:
    """Asks, and sends the browser back to the client.

    Args:
        browser: reads and writes cookies.
        tokens: makes login tokens.
        trusted_redirects: clients that get one without a question.
    """

    def __init__(
        self, *, browser: Browser, tokens: ShortLivedTokens, trusted_redirects: Sequence[str]
    ) -> None:
        self._browser = browser
        self._tokens = tokens
        self._trusted = tuple(trusted_redirects)

    @endpoint("GET", SSO, authentication=Authentication.NONE, rate_limit=RateLimit.READ, spec=_SPEC)
    async def ask(self, request: Request) -> Response:
        """Ask the user, after they have signed in."""
        try:
            url = asked_redirect(request)
        except MatrixError as error:
            return refusal(error)
        visit = await self._browser.visit(request)
        if visit.user_id is None:
            return redirect(login_path(sso_path(url)))
        if is_trusted(url, self._trusted):
            return await self._hand_over_at_once(visit.user_id, url)
        place, is_site = place_of(url)
        client = (
            f"The website <strong>{escape(place)}</strong>"
            if is_site
            else f"An app on this device that opens <strong>{escape(place)}</strong> links"
        )
        content = (
            f"<p>{client} asks to act as <strong>{escape(visit.user_id)}</strong>:</p>"
            "<ul><li>to read and send messages, and to see and change everything in your account</li></ul>"
            "<p>Continue only if you have just begun to sign in there yourself.</p>"
        )
        form = self._browser.form(visit, sso_path(url), "<button>Continue</button>")
        other = self._browser.form(
            visit, login_path(sso_path(url), page_path=LOGOUT),
            '<button class="second">Use another account</button>',
        )  # fmt: skip
        return allowing_return(page("Sign in to a client?", content + form + other), url)

    @endpoint(
        "POST", SSO, authentication=Authentication.NONE, rate_limit=RateLimit.LOGIN, body_raw=True, spec=_SPEC
    )
    async def agree(self, request: Request) -> Response:
        """Send the browser back to the client with a token."""
        try:
            url = asked_redirect(request)
            visit, _ = await self._browser.submitted(request)
        except MatrixError as error:
            return refusal(error)
        if visit.user_id is None:
            return redirect(login_path(sso_path(url)))
        return await self._hand_over(visit.user_id, url)

    async def _hand_over_at_once(self, user_id: str, url: str) -> Response:
        token = await self._tokens.create_for_redirect(user_id)
        return onward("Back to your app", with_login_token(url, token))

    async def _hand_over(self, user_id: str, url: str) -> Response:
        token = await self._tokens.create_for_redirect(user_id)
        return redirect(with_login_token(url, token))
