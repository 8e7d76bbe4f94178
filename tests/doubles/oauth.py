"""A browser without scripts, and a client that signs in with it: through the real dispatcher."""

import base64
import hashlib
from html.parser import HTMLParser
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import orjson

from homeserver.http.dispatch import RawRequest
from tests.doubles.rooms import PASSWORD

BASE_URL = "http://127.0.0.1:8008"
CALLBACK = "https://app.example.com/callback"
VERIFIER = "v" * 20 + "erifier-of-more-than-43-characters"
METADATA = {
    "client_name": "Talk",
    "client_uri": "https://example.com/",
    "redirect_uris": [CALLBACK],
    "grant_types": [
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
    ],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
}
NATIVE = METADATA | {
    "application_type": "native",
    "redirect_uris": ["com.example.app:/callback", "http://127.0.0.1/callback"],
}


def challenge_of(verifier):
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def scope_of(device_id):
    return f"urn:matrix:client:api:* urn:matrix:client:device:{device_id}"


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.forms = []
        self.elements = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag == "form":
            self.forms.append((attributes, {}))
        elif tag == "input" and self.forms and attributes.get("type") != "checkbox":
            self.forms[-1][1][attributes["name"]] = attributes.get("value", "")

    def handle_data(self, data):
        self.text += data


class Page:
    """What a browser got: the response, and its forms."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.location = response.headers.get("Location")
        reader = _Reader()
        if response.content_type.startswith("text/html"):
            reader.feed(response.body.decode())
        self.forms, self.elements, self.text = reader.forms, reader.elements, " ".join(reader.text.split())


class Browser:
    """Keeps one cookie jar for one site, and follows redirections within it."""

    def __init__(self, server, *, address="127.0.0.1"):
        self.server = server
        self.address = address
        self.cookies = {}
        self.headers = {}

    async def ask(self, method, path, body=b""):
        headers = {"content-type": "application/x-www-form-urlencoded", **self.headers}
        if self.cookies:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        response = await self.server.dispatcher.respond(
            RawRequest(method, path.encode(), headers, body, self.address)
        )
        if self.server.failures:
            raise self.server.failures.pop()
        if (cookie := response.headers.get("Set-Cookie")) is not None:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return Page(response)

    async def open(self, path):
        """Load a page; follows redirections to other pages here, and stops at those that lead away."""
        page = await self.ask("GET", path.removeprefix(BASE_URL))
        return await self._follow(page)

    async def submit(self, page, number=0, **fields):
        """Send a form of a page, with fields filled in."""
        attributes, known = page.forms[number]
        page = await self.ask("POST", attributes["action"], urlencode({**known, **fields}).encode())
        return await self._follow(page)

    async def _follow(self, page):
        while page.location is not None and page.location.startswith("/"):
            page = await self.ask("GET", page.location)
        return page

    async def sign_in(self, page, user, password=PASSWORD):
        return await self.submit(page, user=user, password=password)


class OAuthClient:
    """A client that follows the specification, and can be told to break it."""

    def __init__(self, server, client_id=None):
        self.server = server
        self.client_id = client_id

    async def post(self, path, **fields):
        """Send a form; returns the status and the decoded body."""
        body = urlencode(fields).encode()
        request = RawRequest("POST", path.encode(), {}, body, "127.0.0.1")
        response = await self.server.dispatcher.respond(request)
        if self.server.failures:
            raise self.server.failures.pop()
        return response.status, orjson.loads(response.body)

    async def register(self, metadata=METADATA):
        status, answer = await self.server.call("POST", "/oauth2/registration", metadata)
        assert status == 201, answer
        self.client_id = answer["client_id"]
        return self

    def authorize_path(self, device_id="PHONE", **changes):
        """Where the browser is sent; None takes a parameter out."""
        parameters = {
            "client_id": self.client_id,
            "response_type": "code",
            "response_mode": "query",
            "redirect_uri": CALLBACK,
            "scope": scope_of(device_id),
            "state": "s t&te",
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
            **changes,
        }
        given = {name: value for name, value in parameters.items() if value is not None}
        return "/oauth2/authorize?" + urlencode(given, quote_via=quote)

    async def code(self, browser, user="alice", **changes):
        """Let a user sign in and allow; returns the code."""
        page = await browser.open(self.authorize_path(**changes))
        if any(name == "password" for _, fields in page.forms for name in fields):
            page = await browser.sign_in(page, user)
        page = await browser.submit(page, decision="allow")
        return answer_in(page.location)["code"]

    async def exchange(self, code, /, **changes):
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "client_id": self.client_id,
            "code_verifier": VERIFIER,
            **changes,
        }
        given = {name: value for name, value in fields.items() if value is not None}
        return await self.post("/oauth2/token", **given)

    async def sign_in(self, browser, user="alice", **changes):
        """Go all the way; returns the body of the token response."""
        status, answer = await self.exchange(await self.code(browser, user, **changes))
        assert status == 200, answer
        return answer

    async def refresh(self, refresh_token, **changes):
        fields = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": self.client_id}
        return await self.post("/oauth2/token", **{**fields, **changes})


def answer_in(uri):
    """The parameters that a client is sent, wherever they are in the URI."""
    parts = urlsplit(uri)
    found = parse_qs(parts.fragment or parts.query, keep_blank_values=True)
    return {name: values[0] for name, values in found.items()}
