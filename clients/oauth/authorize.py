"""The authorization endpoint: asks the signed-in user whether a client may act for them.

A request is never kept: it is in the address of each page on the way, and checked anew on each.

Spec: https://spec.matrix.org/v1.19/client-server-api/#authorisation-code-flow
"""

from collections.abc import Awaitable, Callable
from html import escape
from urllib.parse import urlencode

from clients.oauth.browser import Browser, allowing_return, login_path, redirect, refusal
from clients.oauth.paths import AUTHORIZE, LOGIN, LOGOUT, REGISTER
from clients.pages import page
from homeserver.accounts.devices import Devices
from homeserver.accounts.oauth.clients import OAuthClients
from homeserver.accounts.oauth.codes import AuthorizationCodes
from homeserver.core.errors import MatrixError, NotFound
from homeserver.core.oauth.authorization_request import (
    AuthorizationRequest,
    parse_authorization_request,
    return_address_of,
)
from homeserver.core.oauth.client_metadata import ClientMetadata
from homeserver.core.oauth.errors import OAuthError
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response

__all__ = ["AuthorizeEndpoints", "consent", "languages_of"]

_SPEC = "https://spec.matrix.org/v1.19/client-server-api/#authorisation-code-flow"

_GoOn = Callable[[Request, AuthorizationRequest, ClientMetadata], Awaitable[Response]]


def languages_of(request: Request) -> tuple[str, ...]:
    """The languages that a browser prefers, in the order that it gives; weights are not looked at."""
    parts = request.headers.get("accept-language", "")[:500].split(",")
    tags = [part.partition(";")[0].strip() for part in parts]
    # `fr-CA` is content with `fr`.
    return tuple(dict.fromkeys(tag for tag in (*tags, *(one.partition("-")[0] for one in tags)) if tag))


def consent(
    client: ClientMetadata, languages: tuple[str, ...], user_id: str, device_note: str, *, is_proven: bool
) -> str:
    """What a user reads before they decide, as HTML.

    The name is the client's own word, and so is its host, unless the browser goes back there.

    Args:
        client: who asks.
        languages: of the reader.
        user_id: for whose account.
        device_note: as which device, HTML.
        is_proven: the answer can reach nobody but the client's host.
    """
    name = client.shown_as("client_name", languages) or client.host
    links = [
        f'<a href="{escape(uri)}" rel="noopener noreferrer">{label}</a>'
        for label, field in (("Its terms", "tos_uri"), ("its privacy policy", "policy_uri"))
        if (uri := client.shown_as(field, languages))
    ]
    origin = "from" if is_proven else "that says it is from"
    documents = f'<p class="faint">{", ".join(links)}</p>' if links else ""
    return (
        f"<p><strong>{escape(name)}</strong>, a client {origin} <strong>{escape(client.host)}</strong>,"
        f" asks to act as <strong>{escape(user_id)}</strong>:</p>"
        "<ul><li>to read and send messages, and to see and change everything in your account</li>"
        f"<li>{device_note}</li></ul>{documents}"
        "<p>Allow this only if you have just begun to sign in there yourself.</p>"
    )


class AuthorizeEndpoints:
    """Shows who asks for what, and sends the answer back."""

    def __init__(
        self, *, browser: Browser, clients: OAuthClients, codes: AuthorizationCodes, devices: Devices
    ) -> None:
        self._browser = browser
        self._clients = clients
        self._codes = codes
        self._devices = devices

    @endpoint("GET", AUTHORIZE, authentication=Authentication.NONE, rate_limit=RateLimit.READ, spec=_SPEC)
    async def ask(self, request: Request) -> Response:
        """Ask the user, after they have signed in."""
        return await self._with_address(request, self._ask)

    @endpoint(
        "POST",
        AUTHORIZE,
        authentication=Authentication.NONE,
        rate_limit=RateLimit.READ,
        body_raw=True,
        spec=_SPEC,
    )
    async def decide(self, request: Request) -> Response:
        """Take the user's decision."""
        return await self._with_address(request, self._decide)

    async def _with_address(self, request: Request, go_on: _GoOn) -> Response:
        """Send errors to the client only once it is sure that they go to this client."""
        try:
            client_id = _client_id(request)
            client = await self._clients.find(client_id)
            address = return_address_of(request.query, client)
        except OAuthError as error:
            return refusal(error)
        try:
            asked = parse_authorization_request(client_id, request.query, client, address)
        except OAuthError as error:
            return redirect(address.uri_of_error(error))
        try:
            return await go_on(request, asked, client)
        except MatrixError as error:
            return refusal(error)

    async def _ask(self, request: Request, asked: AuthorizationRequest, client: ClientMetadata) -> Response:
        visit = await self._browser.visit(request)
        if visit.user_id is None:
            first = REGISTER if asked.wants_new_account else LOGIN
            return redirect(login_path(_own_path(request), page_path=first))
        note = await self._device_note(visit.user_id, asked.scope.device_id)
        content = consent(
            client, languages_of(request), visit.user_id, note,
            is_proven=asked.address.redirect_uri.startswith("https:"),
        )  # fmt: skip
        buttons = (
            '<p><button name="decision" value="allow">Allow</button> '
            '<button name="decision" value="deny" class="second">Do not allow</button></p>'
        )
        form = self._browser.form(visit, _own_path(request), buttons)
        other = self._browser.form(
            visit, login_path(_own_path(request), page_path=LOGOUT),
            '<p><button class="second">Use another account</button></p>',
        )  # fmt: skip
        shown = page("Sign in to a client?", content + form + other)
        return allowing_return(shown, asked.address.redirect_uri)

    async def _decide(
        self, request: Request, asked: AuthorizationRequest, client: ClientMetadata
    ) -> Response:
        del client
        visit, form = await self._browser.submitted(request)
        if visit.user_id is None:
            return redirect(login_path(_own_path(request)))
        if form.get("decision") != "allow":
            denied = OAuthError("access_denied", "The user did not allow it.")
            return redirect(asked.address.uri_of_error(denied))
        code = await self._codes.issue(visit.user_id, asked)
        return redirect(asked.address.uri({"code": code}))

    async def _device_note(self, user_id: str, device_id: str) -> str:
        try:
            known = await self._devices.find(user_id, device_id)
        except NotFound:
            return f"as a new device, <code>{escape(device_id)}</code>"
        name = known.display_name or device_id
        return f"in the place of your device <strong>{escape(name)}</strong>, which is signed out"


def _client_id(request: Request) -> str:
    client_ids = request.query.get("client_id", [])
    if len(client_ids) != 1:
        raise OAuthError("invalid_request", "Give client_id once.")
    return client_ids[0]


def _own_path(request: Request) -> str:
    pairs = [(name, value) for name, values in request.query.items() for value in values]
    # Registration is offered once; whoever comes back from it is signed in.
    return f"{AUTHORIZE}?{urlencode([pair for pair in pairs if pair[0] != 'prompt'])}"
