"""The way to an OpenID Connect provider and back, and the form for those who have no account here yet.

Spec: https://spec.matrix.org/v1.19/client-server-api/#sso-client-loginauthentication
"""

from collections.abc import Mapping
from html import escape

from clients.oauth.browser import (
    Browser,
    failure,
    field,
    local_path,
    login_path,
    onward,
    redirect,
    refusal,
    terms_field,
)
from clients.oauth.paths import CONFIRM, NEWCOMER, UPSTREAM, UPSTREAM_CALLBACK
from clients.pages import DONE_SCRIPT, page
from homeserver.accounts.oauth.browser_sessions import Visit
from homeserver.accounts.sso.attempts import SignInAttempts
from homeserver.accounts.sso.confirmations import SsoConfirmations, UpstreamStage
from homeserver.accounts.sso.newcomers import Newcomers
from homeserver.core.errors import Forbidden, InvalidParam, MatrixError
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.errors import status_of
from homeserver.http.request import Request
from homeserver.http.response import Response
from storage.tables.upstream import AttemptRow

__all__ = ["UpstreamEndpoints", "upstream_path"]

_SPEC = "https://spec.matrix.org/v1.19/client-server-api/#sso-client-loginauthentication"
_UIA_SPEC = "https://spec.matrix.org/v1.19/client-server-api/#sso-during-user-interactive-authentication"
_ONCE = ("state", "code", "iss", "error")


def upstream_path(provider_id: str, continue_at: str) -> str:
    """Where to begin to sign in by a provider, and go on from there."""
    return login_path(continue_at, page_path=UPSTREAM.format(providerId=provider_id))


class UpstreamEndpoints:
    """Sends browsers to providers, and takes in who comes back.

    Args:
        browser: reads and writes cookies.
        attempts: knows who was sent where.
        newcomers: finds and makes accounts.
        confirmations: passes the stage of interactive authentication.
        stage: knows who can pass it by which provider.
    """

    def __init__(
        self,
        *,
        browser: Browser,
        attempts: SignInAttempts,
        newcomers: Newcomers,
        confirmations: SsoConfirmations,
        stage: UpstreamStage,
    ) -> None:
        self._browser = browser
        self._attempts = attempts
        self._newcomers = newcomers
        self._confirmations = confirmations
        self._stage = stage

    @endpoint("GET", UPSTREAM, authentication=Authentication.NONE, rate_limit=RateLimit.LOGIN, spec=_SPEC)
    async def begin(self, request: Request) -> Response:
        """Send the browser to a provider."""
        visit = await self._browser.visit(request)
        goes_on = local_path(request.query_maybe("continue"))
        try:
            uri = await self._attempts.begin(
                request.parameters["providerId"], visit.token, continue_at=goes_on
            )
        except MatrixError as error:
            return refusal(error, after=_back(goes_on))
        return self._browser.with_cookie(redirect(uri), visit)

    @endpoint(
        "GET", UPSTREAM_CALLBACK, authentication=Authentication.NONE, rate_limit=RateLimit.READ, spec=_SPEC
    )
    async def come_back(self, request: Request) -> Response:
        """Take in the browser that a provider sends back."""
        visit = await self._browser.visit(request)
        try:
            answer = _answer_in(request)
            state = answer.get("state", "")
            attempt = await self._attempts.take(request.parameters["providerId"], visit.token, state)
        except MatrixError as error:
            return refusal(error, after=_back(local_path(None)))
        try:
            return await self._go_on(visit, attempt, answer)
        except MatrixError as error:
            return refusal(error, after="" if attempt.uia_session else _back(attempt.continue_at))

    async def _go_on(self, visit: Visit, attempt: AttemptRow, answer: Mapping[str, str]) -> Response:
        provider_id = attempt.provider_id
        person = await self._attempts.person(attempt, answer, answer["state"])
        if attempt.uia_session is not None:
            await self._confirmations.confirm(attempt.uia_session, provider_id, person.subject)
            return page("Confirmed", _CONFIRMED, script=DONE_SCRIPT)
        user_id = await self._newcomers.user_of(provider_id, person)
        if user_id is None:
            user_id = await self._newcomers.welcome(provider_id, person, visit.token, attempt.continue_at)
        if user_id is None:
            return redirect(NEWCOMER)
        return await self._sign_in(visit, user_id, attempt.continue_at)

    async def _sign_in(self, visit: Visit, user_id: str, goes_on: str) -> Response:
        signed_in = await self._browser.sessions.open(user_id, replaces=visit)
        return self._browser.with_cookie(redirect(goes_on), signed_in, always=True)

    @endpoint("GET", NEWCOMER, authentication=Authentication.NONE, rate_limit=RateLimit.READ, spec=_SPEC)
    async def get_newcomer(self, request: Request) -> Response:
        """Ask who has no account here yet for what is needed to make one."""
        visit = await self._browser.visit(request)
        return await self._newcomer_page(visit, {}, None)

    @endpoint(
        "POST",
        NEWCOMER,
        authentication=Authentication.NONE,
        rate_limit=RateLimit.REGISTRATION,
        body_raw=True,
        spec=_SPEC,
    )
    async def make_account(self, request: Request) -> Response:
        """Make the account and sign the browser in."""
        try:
            visit, form = await self._browser.submitted(request)
        except MatrixError as error:
            return refusal(error)
        try:
            user_id, goes_on = await self._newcomers.register(visit.token, form)
            return await self._sign_in(visit, user_id, goes_on)
        except MatrixError as error:
            return await self._newcomer_page(visit, form, error)

    async def _newcomer_page(
        self, visit: Visit, form: Mapping[str, str], error: MatrixError | None
    ) -> Response:
        try:
            newcomer = await self._newcomers.find(visit.token)
        except MatrixError as gone:
            return refusal(gone, after=_back(local_path(None)))
        asked = self._newcomers.asked(newcomer)
        name = self._attempts.provider(newcomer.provider_id).name
        user = form.get("user", newcomer.localpart or "")[:255]
        fields = field("user", "User name", complete="username", value=user)
        if asked.token:
            fields += field("token", "Registration token", value=form.get("token", "")[:64])
        fields += terms_field(asked.documents) + "<button>Make the account</button>"
        content = (
            f"<p>{escape(name)} knows you. Choose the name by which others find you here; it cannot be"
            " changed later.</p>"
        )
        status = 200 if error is None else status_of(error)
        content = failure(error) + content + self._browser.form(visit, NEWCOMER, fields)
        return page("One more step", content, status=status)

    @endpoint("GET", CONFIRM, authentication=Authentication.NONE, rate_limit=RateLimit.READ, spec=_UIA_SPEC)
    async def get_confirmation(self, request: Request) -> Response:
        """Ask whether the user wants what a client is about to do, before they sign in anew for it."""
        visit = await self._browser.visit(request)
        session_id = request.query_text("session", "")
        try:
            user_id, operation = await self._confirmations.waiting(session_id)
            providers = await self._stage.providers_of(user_id)
            if not providers:
                raise Forbidden(f"{user_id} cannot sign in by another service any more.")
        except MatrixError as error:
            return refusal(error)
        buttons = "".join(
            f'<p><button name="provider" value="{escape(one)}">'
            f"Confirm with {escape(self._attempts.provider(one).name)}</button></p>"
            for one in providers
        )
        content = (
            f"<p>A client is about to do this: <strong>{escape(operation)}</strong>.</p>"
            "<p>To confirm it, sign in again. If you have not asked for it in your app just now, close this"
            " page: somebody may have got hold of one of your devices.</p>"
        )
        form = self._browser.form(
            visit, CONFIRM, f'<input type="hidden" name="session" value="{escape(session_id)}">{buttons}'
        )
        return self._browser.with_cookie(page("Was it you?", content + form), visit)

    @endpoint(
        "POST",
        CONFIRM,
        authentication=Authentication.NONE,
        rate_limit=RateLimit.LOGIN,
        body_raw=True,
        spec=_UIA_SPEC,
    )
    async def confirm(self, request: Request) -> Response:
        """Send the browser to the provider, to sign in anew."""
        try:
            visit, form = await self._browser.submitted(request)
            session_id, provider_id = form.get("session", ""), form.get("provider", "")
            user_id, _ = await self._confirmations.waiting(session_id)
            if provider_id not in await self._stage.providers_of(user_id):
                raise Forbidden(f"{user_id} cannot sign in that way.")
            uri = await self._attempts.begin(
                provider_id, visit.token, continue_at=CONFIRM, uia_session=session_id
            )
        except MatrixError as error:
            return refusal(error)
        # Which other sites the provider leads through is its own business.
        return onward(f"On to {self._attempts.provider(provider_id).name}", uri)


def _answer_in(request: Request) -> Mapping[str, str]:
    """The parameters that a provider has sent the browser back with."""
    if any(len(request.query.get(name, ())) > 1 for name in _ONCE):
        raise InvalidParam("The answer says something twice. Begin again.")
    return {name: values[0] for name, values in request.query.items()}


def _back(goes_on: str) -> str:
    return f'<p class="after"><a href="{escape(login_path(goes_on))}">Back to the ways to sign in</a></p>'


_CONFIRMED = '<p role="status">You can close this page and go back to your app.</p>'
