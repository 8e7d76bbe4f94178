"""The stage `m.login.sso`: users of a provider confirm there what cannot be undone."""

import pytest

from tests.clients.sso.sso_world import ERIKA
from tests.doubles.oauth import BASE_URL, answer_in

DELETE = "/_matrix/client/v3/delete_devices"


@pytest.fixture
async def token(world):
    """Erika logs in by the SSO redirect; returns her access token."""
    browser = world.browser()
    page = await world.sign_in(browser, "/account/sso?redirectUrl=https://app.example.com/")
    page = await browser.submit(page)
    _, answer = await world.log_in(page.location)
    return answer["access_token"]


async def delete_devices(world, token, **auth):
    body = {"devices": ["OLD"], **({"auth": auth} if auth else {})}
    return await world.server.call("POST", DELETE, body, token=token)


async def confirmation(world, browser, session):
    """Open the fallback page in a browser; returns the page where it leads."""
    page = await browser.ask("GET", f"/_matrix/client/v3/auth/m.login.sso/fallback/web?session={session}")
    assert page.status == 303
    return await browser.open(page.location)


def onward(page):
    """Where a page sends the browser: no redirection, which the policy of the form before would stop."""
    assert page.location is None
    return page.headers["Refresh"].partition("; url=")[2]


async def test_a_user_without_a_password_confirms_by_the_provider(world, token):
    status, asked = await delete_devices(world, token)
    assert (status, asked["flows"]) == (401, [{"stages": ["m.login.sso"]}])
    browser = world.browser()

    page = await confirmation(world, browser, asked["session"])
    assert "delete devices of @erika:localhost" in page.text
    page = await browser.submit(page, provider="company")
    assert answer_in(onward(page))["prompt"] == "login"
    page = await world.come_back(browser, world.provider.authorize(onward(page)))

    assert "onAuthDone" in page.text
    assert (await delete_devices(world, token, session=asked["session"]))[0] == 200
    again = await confirmation_status(world, browser, asked["session"])
    assert again == 404


async def confirmation_status(world, browser, session):
    page = await browser.ask("GET", f"/_matrix/client/v3/auth/m.login.sso/fallback/web?session={session}")
    return page.status


async def test_somebody_else_at_the_provider_confirms_nothing(world, token):
    _, asked = await delete_devices(world, token)
    world.provider.person |= {"sub": "2", "preferred_username": "other"}
    browser = world.browser()
    page = await confirmation(world, browser, asked["session"])
    page = await browser.submit(page, provider="company")

    page = await world.come_back(browser, world.provider.authorize(onward(page)))

    assert page.status == 403
    assert f"You have signed in as somebody else than {ERIKA}." in page.text
    assert (await delete_devices(world, token, session=asked["session"]))[0] == 401
    # Nor does that make an account of them.
    assert await world.server.database.fetch("SELECT user_id FROM accounts") == [(ERIKA,)]


async def test_a_sign_in_from_before_is_not_good_enough(world, token):
    _, asked = await delete_devices(world, token)
    world.provider.lies = {"auth_time": world.clock.now_ms() // 1000 - 61}
    browser = world.browser()
    page = await browser.submit(await confirmation(world, browser, asked["session"]), provider="company")

    page = await world.come_back(browser, world.provider.authorize(onward(page)))

    assert page.status == 403
    assert world.server.refusals == ["auth_time is from before: nobody has signed in anew"]
    assert (await delete_devices(world, token, session=asked["session"]))[0] == 401


async def test_a_link_or_a_form_of_another_site_does_not_begin_it(world, token):
    _, asked = await delete_devices(world, token)
    browser = world.browser()
    await browser.open("/account/login")
    form = f"session={asked['session']}&provider=company".encode()

    assert (await browser.ask("POST", "/account/confirm", form)).status == 403
    # An ordinary sign-in is not taken for a confirmation.
    await world.sign_in(browser, f"/account/confirm?session={asked['session']}")
    assert (await delete_devices(world, token, session=asked["session"]))[0] == 401


async def test_the_stage_cannot_be_passed_by_the_client(world, token):
    _, asked = await delete_devices(world, token)

    status, answer = await delete_devices(world, token, type="m.login.sso", session=asked["session"])

    assert (status, answer["errcode"]) == (401, "M_FORBIDDEN")


async def test_who_has_a_password_alone_is_not_sent_to_a_provider(world):
    alice = await world.server.user("alice")

    _, asked = await delete_devices(world, alice.token)

    assert asked["flows"] == [{"stages": ["m.login.password"]}]


async def test_who_has_both_has_the_choice(world):
    world.configure(rules={"links_existing_accounts": True})
    await world.server.restart()
    erika = await world.server.user("erika")
    await world.sign_in(world.browser())

    _, asked = await delete_devices(world, erika.token)

    assert asked["flows"] == [{"stages": ["m.login.password"]}, {"stages": ["m.login.sso"]}]


@pytest.mark.parametrize("session", ["", "unknown", "a b", "x" * 300])
async def test_an_unknown_session_gets_a_page_that_says_so(world, session):
    page = await world.browser().open(f"/account/confirm?session={session}")

    assert page.status == 403
    assert "begin again" in page.text


async def test_the_confirmation_waits_in_its_browser_only(world, token):
    _, asked = await delete_devices(world, token)
    browser = world.browser()
    page = await browser.submit(await confirmation(world, browser, asked["session"]), provider="company")
    url = world.provider.authorize(onward(page))

    other = world.browser()
    await other.open("/account/login")

    assert (await other.open(url.removeprefix(BASE_URL))).status == 403
    assert (await delete_devices(world, token, session=asked["session"]))[0] == 401


async def test_a_provider_that_is_down_is_told(world, token):
    await world.server.restart()
    _, asked = await delete_devices(world, token)
    world.provider.is_down = True
    browser = world.browser()

    page = await browser.submit(await confirmation(world, browser, asked["session"]), provider="company")

    assert page.status == 503
    assert "Company login does not answer" in page.text


async def test_users_without_a_password_approve_on_the_account_page_if_they_have_just_signed_in(world):
    browser = world.browser()
    page = await world.sign_in(browser, "/account?action=org.matrix.cross_signing_reset")
    assert "password" not in page.forms[0][1]
    world.clock.advance(10 * 60_000)

    late = await browser.submit(page)
    shown = await browser.open("/account?action=org.matrix.account_deactivate")
    page = await world.sign_in(browser, "/account?action=org.matrix.cross_signing_reset")
    approved = await browser.submit(page)

    assert late.status == 403
    assert "sign this browser out and in again" in shown.text
    assert "within ten minutes" in approved.text


async def test_deactivation_on_the_account_page_closes_the_way_by_the_provider(world):
    browser = world.browser()
    page = await world.sign_in(browser, "/account?action=org.matrix.account_deactivate")

    page = await browser.submit(page, sure="yes")

    assert "Your account is deactivated" in page.text
    assert (await world.sign_in(world.browser())).status == 401


async def test_who_confirms_is_asked_for_nothing_but_who_they_are(world, token):
    _, asked = await delete_devices(world, token)
    browser = world.browser()
    page = await browser.submit(await confirmation(world, browser, asked["session"]), provider="company")
    world.provider.in_userinfo = {"preferred_username", "name", "email"}

    await world.come_back(browser, world.provider.authorize(onward(page)))

    assert (await delete_devices(world, token, session=asked["session"]))[0] == 200
    assert ("GET", "/userinfo") not in world.provider.asked
