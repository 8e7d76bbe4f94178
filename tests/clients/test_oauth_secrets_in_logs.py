"""Signing in by OAuth 2.0 leaves nothing in the log that would let somebody else in."""

import io

import pytest

from homeserver.runtime.logging import LogReader, make_log
from tests.doubles.oauth import VERIFIER, Browser, OAuthClient
from tests.doubles.rooms import PASSWORD, RoomsServer


class LoggedServer(RoomsServer):
    """Logs everything there is to log."""

    def __init__(self, database, directory):
        super().__init__(database, directory)
        self.log = io.StringIO()
        self.reader = LogReader(make_log(level="debug", format="json", stream=self.log))

    def _observe(self, observation):
        self.reader.observe(observation)
        super()._observe(observation)


@pytest.fixture
async def server(database, tmp_path):
    server = await LoggedServer(database, tmp_path).start()
    yield server
    await server.close()


async def test_no_code_token_cookie_or_password_is_logged(server):
    await server.user("alice")
    client, browser = await OAuthClient(server).register(), Browser(server)
    code = await client.code(browser)
    _, tokens = await client.exchange(code)
    _, refreshed = await client.refresh(tokens["refresh_token"])
    _, waiting = await client.post(
        "/oauth2/device", client_id=client.client_id,
        scope="urn:matrix:client:api:* urn:matrix:client:device:TV",
    )  # fmt: skip
    page = await browser.submit(await browser.open(waiting["verification_uri_complete"]))
    await browser.submit(page, decision="allow")
    await client.exchange(code)
    await client.refresh(tokens["refresh_token"])
    await client.post("/oauth2/revoke", token=refreshed["access_token"])

    log = server.log.getvalue()
    assert "/oauth2/token" in log
    assert "/account/link" in log
    secrets = [PASSWORD, VERIFIER, code, *browser.cookies.values()]
    secrets += [waiting["device_code"], waiting["user_code"]]
    secrets += [one[name] for one in (tokens, refreshed) for name in ("access_token", "refresh_token")]
    assert [secret for secret in secrets if secret in log] == []
