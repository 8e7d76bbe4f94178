"""Signing in by a provider leaves nothing in the log that would let somebody else in."""

import io

from homeserver.runtime.logging import LogReader, make_log
from tests.doubles.oauth import answer_in
from tests.doubles.openid_provider import CLIENT_SECRET


async def test_no_state_code_token_or_secret_is_logged(stopped_world):
    world, log = stopped_world, io.StringIO()
    world.server.reader = LogReader(make_log(level="debug", format="json", stream=log))
    await world.server.start()
    browser = world.browser()
    world.provider.forgery = "other key"
    refused = world.provider.authorize(await world.leave(browser))
    await world.come_back(browser, refused)
    world.provider.forgery = None
    url = world.provider.authorize(
        await world.leave(browser, "/account/sso?redirectUrl=https://a.example.com/")
    )
    page = await browser.submit(await world.come_back(browser, url))
    login_token = answer_in(page.location)["loginToken"]
    await world.log_in(page.location)
    await world.server.close()

    written = log.getvalue()

    assert "sign in refused" in written
    answers = [answer_in(one) for one in (refused, url)]
    secrets = [CLIENT_SECRET, login_token, *browser.cookies.values(), *world.provider.access_tokens]
    secrets += [answer[name] for answer in answers for name in ("state", "code")]
    secrets += [asked["nonce"] for asked in world.provider.authorizations]
    assert len(secrets) >= 11
    assert not [one for one in secrets if one in written]
