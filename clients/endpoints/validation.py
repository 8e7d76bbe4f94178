"""Asking for a secret to be sent to an address, and bringing it back, by a client or by a link in e-mail."""

from html import escape
from urllib.parse import parse_qs

import msgspec

from clients.pages import page
from homeserver.accounts.account_messages import VALIDATE_PATH, AccountMessages
from homeserver.accounts.addresses import EMAIL, MSISDN, canonical_email, canonical_phone
from homeserver.accounts.threepids import Threepids
from homeserver.accounts.validations import ADD, REGISTER, RESET, ValidationRequest, Validations
from homeserver.core.errors import MatrixError, ThreepidDenied, ThreepidMediumNotSupported
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.errors import status_of
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["EmailBody", "PhoneBody", "SubmitBody", "ValidationEndpoints"]

_API = "https://spec.matrix.org/v1.19/client-server-api/"
_V3 = "/_matrix/client/v3"
_SUBMIT_PATH = _V3 + "/account/3pid/msisdn/submit_token"
_FORM_FIELDS_MAX = 10
_TITLE = "Confirm your e-mail address"


class EmailBody(msgspec.Struct):
    """Which e-mail address is to be shown to be whose."""

    client_secret: str
    email: str
    send_attempt: int
    next_link: str | None = None


class PhoneBody(msgspec.Struct):
    """Which phone number is to be shown to be whose."""

    client_secret: str
    country: str
    phone_number: str
    send_attempt: int
    next_link: str | None = None


class SubmitBody(msgspec.Struct):
    """What was sent to a phone number."""

    sid: str
    client_secret: str
    token: str


class ValidationEndpoints:
    """Begins validations and ends them.

    Args:
        validations: ends them.
        threepids: begins them, for it knows whose addresses are.
        messages: knows what can be reached.
        base_url: where clients reach this server.
    """

    def __init__(
        self, *, validations: Validations, threepids: Threepids, messages: AccountMessages, base_url: str
    ) -> None:
        self._validations = validations
        self._threepids = threepids
        self._messages = messages
        self._submit_url = base_url.rstrip("/") + _SUBMIT_PATH

    @endpoint(
        "POST", _V3 + "/register/email/requestToken", authentication=Authentication.NONE,
        rate_limit=RateLimit.REGISTRATION, body=EmailBody,
        spec=_API + "#post_matrixclientv3registeremailrequesttoken",
    )  # fmt: skip
    async def for_registration_by_email(self, request: Request) -> Response:
        """Send a link to somebody who registers."""
        return await self._by_email(request.body, REGISTER)

    @endpoint(
        "POST", _V3 + "/register/msisdn/requestToken", authentication=Authentication.NONE,
        rate_limit=RateLimit.REGISTRATION, body=PhoneBody,
        spec=_API + "#post_matrixclientv3registermsisdnrequesttoken",
    )  # fmt: skip
    async def for_registration_by_phone(self, request: Request) -> Response:
        """Send a code to somebody who registers."""
        return await self._by_phone(request.body, REGISTER)

    @endpoint(
        "POST", _V3 + "/account/password/email/requestToken", authentication=Authentication.NONE,
        rate_limit=RateLimit.REGISTRATION, body=EmailBody,
        spec=_API + "#post_matrixclientv3accountpasswordemailrequesttoken",
    )  # fmt: skip
    async def for_reset_by_email(self, request: Request) -> Response:
        """Send a link to somebody who has lost their password."""
        return await self._by_email(request.body, RESET)

    @endpoint(
        "POST", _V3 + "/account/password/msisdn/requestToken", authentication=Authentication.NONE,
        rate_limit=RateLimit.REGISTRATION, body=PhoneBody,
        spec=_API + "#post_matrixclientv3accountpasswordmsisdnrequesttoken",
    )  # fmt: skip
    async def for_reset_by_phone(self, request: Request) -> Response:
        """Send a code to somebody who has lost their password."""
        return await self._by_phone(request.body, RESET)

    @endpoint(
        "POST", _V3 + "/account/3pid/email/requestToken", authentication=Authentication.NONE,
        rate_limit=RateLimit.REGISTRATION, body=EmailBody,
        spec=_API + "#post_matrixclientv3account3pidemailrequesttoken",
    )  # fmt: skip
    async def for_adding_by_email(self, request: Request) -> Response:
        """Send a link to somebody who adds an address to their account."""
        return await self._by_email(request.body, ADD)

    @endpoint(
        "POST", _V3 + "/account/3pid/msisdn/requestToken", authentication=Authentication.NONE,
        rate_limit=RateLimit.REGISTRATION, body=PhoneBody,
        spec=_API + "#post_matrixclientv3account3pidmsisdnrequesttoken",
    )  # fmt: skip
    async def for_adding_by_phone(self, request: Request) -> Response:
        """Send a code to somebody who adds a number to their account."""
        return await self._by_phone(request.body, ADD)

    @endpoint(
        "POST", _SUBMIT_PATH, authentication=Authentication.NONE, rate_limit=RateLimit.LOGIN,
        body=SubmitBody, spec=_API + "#post_matrixclientv3account3pidmsisdnrequesttoken",
    )  # fmt: skip
    async def submit_code(self, request: Request) -> Response:
        """Take a code that was sent to a phone number."""
        body: SubmitBody = request.body
        await self._validations.submit(body.sid, body.client_secret, body.token)
        return json_response({"success": True})

    @endpoint("GET", VALIDATE_PATH, authentication=Authentication.NONE, spec=_API + "#fallback")
    async def show_page(self, request: Request) -> Response:
        """Show a page that asks: programs that look at the links of e-mails must confirm nothing."""
        fields = "".join(
            f'<input type="hidden" name="{name}" value="{escape(request.query_text(name, ""))}">'
            for name in ("sid", "client_secret", "token")
        )
        content = (
            "<p>Did you ask for this? Then confirm it, and go back to where you came from.</p>"
            f'<form method="post" action="?">{fields}<button type="submit">Confirm</button></form>'
        )
        return page(_TITLE, content)

    @endpoint(
        "POST", VALIDATE_PATH, authentication=Authentication.NONE, rate_limit=RateLimit.LOGIN, body_raw=True,
        spec=_API + "#fallback",
    )  # fmt: skip
    async def submit_page(self, request: Request) -> Response:
        """Take what the page brings back."""
        form = _form_of(request.body)
        try:
            next_link = await self._validations.submit(
                form.get("sid", ""), form.get("client_secret", ""), form.get("token", "")
            )
        except MatrixError as error:
            content = f'<p class="wrong" role="alert">{escape(error.error)}</p>'
            return page(_TITLE, content, status=status_of(error))
        if next_link is not None:
            return Response(303, b"", headers={"Location": next_link, "Cache-Control": "no-store"})
        return page("Your address is confirmed", "<p>You can close this page and go back to your app.</p>")

    async def _by_email(self, body: EmailBody, purpose: str) -> Response:
        address = canonical_email(body.email)
        asked = ValidationRequest(
            purpose, EMAIL, address, body.client_secret, body.send_attempt, body.next_link
        )
        return json_response({"sid": await self._request(asked)})

    async def _by_phone(self, body: PhoneBody, purpose: str) -> Response:
        number = canonical_phone(body.country, body.phone_number)
        asked = ValidationRequest(
            purpose, MSISDN, number, body.client_secret, body.send_attempt, body.next_link
        )
        sid = await self._request(asked)
        return json_response({"sid": sid, "submit_url": self._submit_url})

    async def _request(self, asked: ValidationRequest) -> str:
        if not self._messages.can_reach(asked.medium):
            kind = ThreepidMediumNotSupported if asked.purpose == ADD else ThreepidDenied
            raise kind("This server sends no messages of that kind.")
        return await self._threepids.begin(asked)


def _form_of(body: bytes) -> dict[str, str]:
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_FORM_FIELDS_MAX)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}
