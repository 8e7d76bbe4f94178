"""Web pages on which a browser passes a stage that the client does not know.

Spec: https://spec.matrix.org/v1.19/client-server-api/#fallback
"""

from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import parse_qs, urlencode

from clients.endpoints.address_fallback import AddressSteps, address_fields, begun_of
from clients.pages import DONE_SCRIPT, page
from homeserver.accounts.address_stages import EMAIL_STAGE, MSISDN_STAGE, BegunStage
from homeserver.accounts.login import PASSWORD
from homeserver.accounts.recaptcha import RECAPTCHA
from homeserver.accounts.stages import SSO, TOKEN, Stages
from homeserver.accounts.terms import TERMS
from homeserver.accounts.uia import DUMMY, InteractiveAuthentication, OpenStage
from homeserver.core.errors import Forbidden, MatrixError
from homeserver.core.identifiers import is_opaque_identifier
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.errors import status_of
from homeserver.http.request import Request
from homeserver.http.response import Response

__all__ = ["AuthFallbackEndpoints"]

_PATH = "/_matrix/client/v3/auth/{authType}/fallback/web"
_SPEC = "https://spec.matrix.org/v1.19/client-server-api/#fallback"
_FORM_FIELDS_MAX = 20

_FORMS = {
    PASSWORD: '<label for="password">Password</label>'
    '<input id="password" name="password" type="password" autocomplete="current-password" required>',
    TOKEN: '<label for="token">Registration token</label>'
    '<input id="token" name="token" type="text" autocomplete="off" required>',
    DUMMY: "<p>Nothing more is needed.</p>",
}
_TITLES = {
    PASSWORD: "Confirm with your password",
    TOKEN: "Enter your registration token",
    TERMS: "Accept the terms",
    RECAPTCHA: "Show that you are a person",
    DUMMY: "Continue",
    EMAIL_STAGE: "Confirm your e-mail address",
    MSISDN_STAGE: "Confirm your phone number",
}


class AuthFallbackEndpoints:
    """Shows the page of a stage, and checks what was filled in.

    Args:
        interactive: keeps the sessions.
        stages: checks.
    """

    def __init__(self, *, interactive: InteractiveAuthentication, stages: Stages) -> None:
        self._interactive = interactive
        self._stages = stages

    @endpoint("GET", _PATH, authentication=Authentication.NONE, spec=_SPEC)
    async def get_page(self, request: Request) -> Response:
        """Show the page."""
        stage, session_id = request.parameters["authType"], request.query_text("session", "")
        opened = await self._opened(stage, session_id)
        if opened is None:
            return _gone()
        if opened.is_passed:
            return _done()
        if stage == SSO:
            return await self._to_single_sign_on(opened, session_id)
        return self._form(stage, session_id, opened)

    @endpoint(
        "POST",
        _PATH,
        authentication=Authentication.NONE,
        rate_limit=RateLimit.LOGIN,
        body_raw=True,
        spec=_SPEC,
    )
    async def pass_stage(self, request: Request) -> Response:
        """Check what was filled in, and say so in the session."""
        stage = request.parameters["authType"]
        form = _form_of(request.body)
        session_id = form.get("session") or request.query_text("session", "")
        opened = await self._opened(stage, session_id)
        if opened is None or stage == SSO:
            return _gone()
        if opened.is_passed:
            return _done()
        try:
            remembered = await self._check(stage, opened, form)
        except MatrixError as error:
            return self._form(stage, session_id, opened, error, begun_of(form, error))
        if isinstance(remembered, BegunStage):
            return self._form(stage, session_id, opened, begun=remembered)
        if not await self._interactive.pass_stage(session_id, stage, remembered):
            return _gone()
        return _done()

    async def _opened(self, stage: str, session_id: str) -> OpenStage | None:
        if not is_opaque_identifier(session_id):
            return None
        opened = await self._interactive.open_stage(session_id, stage)
        if opened is None or stage not in self._stages.checks(opened.user_id, opened.operation):
            return None
        return opened

    async def _check(self, stage: str, opened: OpenStage, form: Mapping[str, str]) -> str | BegunStage:
        check = self._stages.checks(opened.user_id, opened.operation)[stage]
        if stage in {EMAIL_STAGE, MSISDN_STAGE} and self._stages.addresses is not None:
            return await AddressSteps(self._stages.addresses).take(stage, opened, check, form)
        auth: dict[str, Any] = {"type": stage}
        if stage == PASSWORD:
            auth["identifier"] = {"type": "m.id.user", "user": opened.user_id}
            auth["password"] = form.get("password", "")
        elif stage == TOKEN:
            auth["token"] = form.get("token", "").strip()
        elif stage == RECAPTCHA:
            auth["response"] = form.get("g-recaptcha-response", "")
        elif stage == TERMS and form.get("accept") != "yes":
            raise Forbidden("Say that you accept the documents, or close this page.")
        return await check(auth)

    async def _to_single_sign_on(self, opened: OpenStage, session_id: str) -> Response:
        single_sign_on = self._stages.single_sign_on
        if single_sign_on is None or opened.user_id is None:
            return _gone()
        url = await single_sign_on.confirmation_url(opened.user_id, session_id)
        return Response(303, b"", headers={"Location": url, "Cache-Control": "no-store"})

    def _form(
        self,
        stage: str,
        session_id: str,
        opened: OpenStage,
        failure: MatrixError | None = None,
        begun: BegunStage | None = None,
    ) -> Response:
        wrong = "" if failure is None else f'<p class="wrong" role="alert">{escape(failure.error)}</p>'
        who = ""
        if opened.user_id is not None:
            who = f'<p class="faint">For the account <strong>{escape(opened.user_id)}</strong></p>'
        fields = self._fields(stage, begun)
        content = (
            f'{wrong}{who}<form method="post" action="?">'
            f'<input type="hidden" name="session" value="{escape(session_id)}">{fields}'
            '<button type="submit">Continue</button></form>'
        )
        script_url = ""
        if stage == RECAPTCHA and self._stages.recaptcha is not None:
            script_url = self._stages.recaptcha.script_url
        if begun is not None:
            again = escape(f"?{urlencode({'session': session_id})}")
            content += f'<p class="after"><a href="{again}">Nothing came, or it was another address?</a></p>'
        status = 200 if failure is None else status_of(failure)
        return page(_TITLES.get(stage, "Continue"), content, status=status, script_url=script_url)

    def _fields(self, stage: str, begun: BegunStage | None) -> str:
        if stage in {EMAIL_STAGE, MSISDN_STAGE}:
            return address_fields(stage, begun)
        if stage == RECAPTCHA and self._stages.recaptcha is not None:
            key = escape(self._stages.recaptcha.public_key)
            return f'<div class="g-recaptcha" data-sitekey="{key}"></div>'
        if stage == TERMS and self._stages.terms is not None:
            entries = "".join(
                f'<li><a href="{escape(one.url)}" target="_blank" rel="noopener">{escape(one.name)}</a></li>'
                for one in self._stages.terms.documents()
            )
            return (
                f"<p>This server asks you to read and accept:</p><ul>{entries}</ul>"
                '<label class="check"><input type="checkbox" name="accept" value="yes" required>'
                "<span>I have read and accept all of them.</span></label>"
            )
        return _FORMS[stage]


def _form_of(body: bytes) -> dict[str, str]:
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_FORM_FIELDS_MAX)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def _done() -> Response:
    return page(
        "That is done", "<p>You can close this page and go back to your app.</p>", script=DONE_SCRIPT
    )


def _gone() -> Response:
    content = "<p>It may be too old, or used already. Go back to your app and begin again.</p>"
    return page("This link is not good any more", content, status=404)
