"""People sign in by a provider, as old clients have them do: a server process, and real HTTP all the way."""

import asyncio
import json
import re
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.doubles.openid_provider import CLIENT_ID, CLIENT_SECRET, HttpProvider
from tests.scenarios.conftest import Server

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(180)]

CLIENT = "http://127.0.0.1:9/client?hs=1"
"""Nobody listens there: the browser is stopped on its way."""
PROVIDER = """
[outgoing]
allowed_ranges = ["127.0.0.0/8"]

[[sign_in.providers]]
id = "company"
name = "Company login"
issuer = "{issuer}"
client_id = "{client_id}"
client_secret_file = "{directory}/sso.secret"
"""


class _UntilTheClient(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but for that to the client."""

    def redirect_request(self, request, file, code, reason, headers, url):
        if url.startswith("http://127.0.0.1:9/"):
            return None
        return super().redirect_request(request, file, code, reason, headers, url)


class WebBrowser:
    """A browser of another make: cookies, redirections and forms by the standard library."""

    def __init__(self):
        self._opener = urllib.request.build_opener(
            _UntilTheClient(), urllib.request.HTTPCookieProcessor(CookieJar())
        )

    async def open(self, url, form=None):
        """Load a page; returns its URL, its text, and where it sends the browser if that is the client."""
        return await asyncio.to_thread(self._open, url, form)

    def _open(self, url, form):
        body = None if form is None else urlencode(form).encode()
        try:
            with self._opener.open(url, body, timeout=20) as answer:
                return answer.url, answer.read().decode(), None
        except urllib.error.HTTPError as answer:
            return answer.url, answer.read().decode(), answer.headers.get("Location")

    async def submit(self, page):
        """Send the first form of a page."""
        url, text, _ = page
        action = re.search(r'<form method="post" action="([^"]+)"', text)[1].replace("&amp;", "&")
        key = re.search(r'name="form_key" value="([^"]+)"', text)[1]
        site = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        return await self.open(site + action, {"form_key": key})


async def ask(method, url, body=None, token=None):
    """Ask the API; returns the status and the answer."""

    def run():
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as answer:
            return answer.code, json.load(answer)

    return await asyncio.to_thread(run)


@pytest.fixture
async def provider():
    async with HttpProvider() as provider:
        yield provider


@pytest.fixture
async def server(provider, tmp_path_factory):
    directory = tmp_path_factory.mktemp("sso")
    for each in (directory, directory.parent):
        each.chmod(0o755)  # the embedded PostgreSQL may run as another user
    server = Server(directory)
    (directory / "sso.secret").write_text(CLIENT_SECRET + "\n")
    with (directory / "isthmus.toml").open("a") as file:
        file.write(PROVIDER.format(issuer=provider.issuer, client_id=CLIENT_ID, directory=directory))
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.stop)


async def log_in(server, browser):
    """Go the way of an old client; returns the answer to the login."""
    base = f"{server.base_url}/_matrix/client/v3"
    _, flows = await ask("GET", f"{base}/login")
    sso = next(flow for flow in flows["flows"] if flow["type"] == "m.login.sso")
    provider_id = sso["identity_providers"][0]["id"]
    page = await browser.open(f"{base}/login/sso/redirect/{provider_id}?{urlencode({'redirectUrl': CLIENT})}")
    assert "asks to act as" in page[1], page[1]
    _, _, location = await browser.submit(page)
    assert location.startswith(CLIENT + "&loginToken=")
    token = parse_qs(urlsplit(location).query)["loginToken"][0]
    status, answer = await ask("POST", f"{base}/login", {"type": "m.login.token", "token": token})
    assert status == 200, answer
    return answer


async def test_an_old_client_signs_in_by_a_provider_and_confirms_there_over_a_crash(server, provider):
    answer = await log_in(server, WebBrowser())
    assert answer["user_id"] == "@erika:localhost"
    base, token = f"{server.base_url}/_matrix/client/v3", answer["access_token"]

    # A device is deleted, which the user confirms at the provider; the server crashes meanwhile.
    body = {"devices": [answer["device_id"]]}
    status, asked = await ask("POST", f"{base}/delete_devices", body, token)
    assert (status, asked["flows"]) == (401, [{"stages": ["m.login.sso"]}])
    browser = WebBrowser()
    page = await browser.open(f"{base}/auth/m.login.sso/fallback/web?session={asked['session']}")
    assert "delete devices of @erika:localhost" in page[1]
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    key = re.search(r'name="form_key" value="([^"]+)"', page[1])[1]
    form = {"form_key": key, "session": asked["session"], "provider": "company"}
    page = await browser.open(f"{server.base_url}/account/confirm", form)
    page = await browser.open(re.search(r'<a href="([^"]+)">continue', page[1])[1].replace("&amp;", "&"))
    assert "onAuthDone" in page[1]
    status, _ = await ask(
        "POST", f"{base}/delete_devices", {**body, "auth": {"session": asked["session"]}}, token
    )
    assert status == 200
    assert (await ask("GET", f"{base}/account/whoami", token=token))[0] == 401

    # The same person has the same account the next time, with other keys of the provider too.
    provider.rotate()
    assert (await log_in(server, WebBrowser()))["user_id"] == "@erika:localhost"


async def test_a_provider_that_is_out_of_order_is_told_on_a_page_that_leads_back(server, provider):
    provider.is_down = True
    query = urlencode({"redirectUrl": CLIENT})
    url = f"{server.base_url}/_matrix/client/v3/login/sso/redirect/company?{query}"

    _, text, location = await WebBrowser().open(url)

    assert location is None
    assert "Company login is out of order; try again later." in text
    assert "Back to the ways to sign in" in text


async def test_nothing_that_lets_somebody_in_is_logged(server, provider):
    provider.lies = {"aud": "another"}
    url = f"{server.base_url}/account/upstream/company"
    _, text, _ = await WebBrowser().open(url)
    assert "was not accepted" in text
    provider.lies = {}
    answer = await log_in(server, WebBrowser())

    log = server.log.read_text()

    assert "aud does not name this server" in log
    secrets = [CLIENT_SECRET, answer["access_token"], *provider.access_tokens]
    secrets += [
        asked[name] for asked in provider.authorizations for name in ("state", "nonce", "code_challenge")
    ]
    assert len(secrets) > 8
    assert not [one for one in secrets if one in log]
