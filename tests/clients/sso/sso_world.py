"""A server that knows one provider, and browsers that go there and come back."""

from dataclasses import replace
from urllib.parse import parse_qs, quote, urlsplit

from homeserver.accounts.sso.attempts import SignInRefused
from homeserver.config.sign_in import SignInProvider, SignInSection
from tests.doubles.accounts import MovableClock
from tests.doubles.oauth import BASE_URL, Browser
from tests.doubles.openid_provider import CLIENT_ID, CLIENT_SECRET, ISSUER, OpenIdProvider
from tests.doubles.rooms import RoomsServer

COMPANY = SignInProvider(
    id="company", name="Company login", issuer=ISSUER, client_id=CLIENT_ID, client_secret=CLIENT_SECRET,
    icon="mxc://localhost/logo", brand="company",
)  # fmt: skip
CLIENT = "https://app.example.com/#/?hs=localhost"
ERIKA = "@erika:localhost"
"""The account of the person who signs in at the provider."""


def is_signed_in(page):
    """Whether a page is one that Erika is shown."""
    return page.status == 200 and ERIKA in page.text


class _WatchedServer(RoomsServer):
    """Keeps why sign-ins were refused."""

    def __init__(self, database, directory):
        super().__init__(database, directory)
        self.refusals = []
        self.reader = None  # of a log

    def _observe(self, observation):
        if self.reader is not None:
            self.reader.observe(observation)
        if isinstance(observation, SignInRefused):
            self.refusals.append(observation.reason)
        super()._observe(observation)


class SsoWorld:
    """The server, the provider, and the clock of both."""

    def __init__(self, database, directory, **changes):
        self.server = _WatchedServer(database, directory)
        self.clock = MovableClock()
        self.server.clock = self.clock
        self.provider = OpenIdProvider(now_s=lambda: self.clock.now_ms() // 1000)
        self.server.network = {"outgoing": self.provider}
        self.configure(**changes)

    def configure(self, *, rules=None, sign_in=None, **sections):
        """Change the configuration of the next start; `rules` are those of the provider."""
        section = SignInSection(providers=(replace(COMPANY, **(rules or {})),), **(sign_in or {}))
        self.server.configuration = replace(self.server.configuration, sign_in=section, **sections)

    def browser(self):
        return Browser(self.server)

    async def leave(self, browser, continue_at="/account"):
        """Go to the provider; returns its URL."""
        page = await browser.open(f"/account/upstream/company?continue={quote(continue_at, safe='')}")
        assert page.status == 303, page.text
        return page.location

    async def come_back(self, browser, url):
        return await browser.open(url.removeprefix(BASE_URL))

    async def sign_in(self, browser, continue_at="/account"):
        """Go to the provider, sign in there, and come back; returns the page."""
        return await self.come_back(browser, self.provider.authorize(await self.leave(browser, continue_at)))

    async def log_in(self, location):
        """Log in with the token in the URL that a browser was sent to; returns the status and the answer."""
        token = parse_qs(urlsplit(location).query)["loginToken"][0]
        body = {"type": "m.login.token", "token": token}
        return await self.server.call("POST", "/_matrix/client/v3/login", body)
