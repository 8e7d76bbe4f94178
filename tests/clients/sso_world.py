"""A server that knows one provider, and browsers that go there and come back."""

from dataclasses import replace

from homeserver.config.sign_in import SignInProvider, SignInSection
from tests.doubles.accounts import MovableClock
from tests.doubles.oauth import BASE_URL, Browser, answer_in
from tests.doubles.openid_provider import CLIENT_ID, CLIENT_SECRET, ISSUER, OpenIdProvider
from tests.doubles.rooms import RoomsServer

COMPANY = SignInProvider(
    id="company", name="Company login", issuer=ISSUER, client_id=CLIENT_ID, client_secret=CLIENT_SECRET,
    icon="mxc://localhost/logo", brand="company",
)  # fmt: skip
CLIENT = "https://app.example.com/#/?hs=localhost"


class SsoWorld:
    """The server, the provider, and the clock of both."""

    def __init__(self, database, directory, **changes):
        self.server = RoomsServer(database, directory)
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
        page = await browser.open(f"/account/upstream/company?continue={continue_at}")
        assert page.status == 303, page.text
        return page.location

    async def come_back(self, browser, url):
        return await browser.open(url.removeprefix(BASE_URL))

    async def sign_in(self, browser, continue_at="/account"):
        """Go to the provider, sign in there, and come back; returns the page."""
        return await self.come_back(browser, self.provider.authorize(await self.leave(browser, continue_at)))

    async def log_in(self, browser, page):
        """Agree on the page of the SSO redirect, and log in with the token; returns the answer."""
        page = await browser.submit(page)
        token = answer_in(page.location.replace("/#/", "/").partition("#")[0])["loginToken"]
        return await self.log_in_with(token)

    async def log_in_with(self, token):
        body = {"type": "m.login.token", "token": token}
        return await self.server.call("POST", "/_matrix/client/v3/login", body)

    def refusals(self):
        return [one.reason for one in self.observed]
