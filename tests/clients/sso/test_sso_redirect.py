"""The legacy SSO redirect: with a provider, and without one by our own login page."""

from dataclasses import replace
from urllib.parse import quote

import pytest

from homeserver.config.oauth import OAuthSection
from homeserver.config.sign_in import SignInSection
from tests.doubles.oauth import Browser

REDIRECT = "/_matrix/client/v3/login/sso/redirect"
CLIENT = "https://app.example.com/?hs=localhost&loginToken=old#/home"


def path(url=CLIENT, provider="", **more):
    query = "".join(f"&{name}={value}" for name, value in more.items())
    return f"{REDIRECT}{provider}?redirectUrl={quote(url, safe='')}{query}"


async def follow(browser, page):
    """Go where the answer of the API leads to, as far as that is here."""
    assert page.status == 302, page.text
    return await browser.open(page.location)


async def test_clients_are_told_of_the_providers(world):
    _, answer = await world.server.call("GET", "/_matrix/client/v3/login")

    assert answer["flows"][-1] == {
        "type": "m.login.sso",
        "oauth_aware_preferred": True,
        "identity_providers": [
            {"id": "company", "name": "Company login", "icon": "mxc://localhost/logo", "brand": "company"}
        ],
    }


async def test_a_client_logs_in_by_a_provider(world):
    browser = world.browser()
    page = await follow(browser, await browser.ask("GET", path(provider="/company")))
    page = await world.come_back(browser, world.provider.authorize(page.location))
    assert "The website app.example.com asks to act as @erika:localhost" in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "form-action 'self' https://app.example.com;" in policy

    page = await browser.submit(page)
    before, _, after = page.location.partition("loginToken=")

    assert before == "https://app.example.com/?hs=localhost&"
    assert after.endswith("#/home")
    status, answer = await world.log_in(page.location)
    assert (status, answer["user_id"]) == (200, "@erika:localhost")
    assert (await world.log_in(page.location))[0] == 403


async def test_a_login_token_in_a_url_is_not_good_for_long(world):
    browser = world.browser()
    await world.sign_in(browser)
    page = await follow(browser, await browser.ask("GET", path()))
    page = await browser.submit(page)
    world.clock.advance(30_000)

    assert (await world.log_in(page.location))[0] == 403


async def test_without_a_provider_our_own_page_asks_for_the_password(rooms_server, alice):
    browser = Browser(rooms_server)
    page = await follow(browser, await browser.ask("GET", path("element://vector/")))
    page = await browser.sign_in(page, "alice")
    assert "An app on this device that opens element: links asks to act as @alice:localhost" in page.text
    page = await browser.submit(page)

    assert page.location.startswith("element://vector/?loginToken=isl_")
    _, answer = await rooms_server.call("GET", "/_matrix/client/v3/login")
    assert answer["flows"][-1] == {"type": "m.login.sso", "oauth_aware_preferred": True}
    assert (await browser.open("/account/upstream/company")).status == 404


async def test_who_wants_to_register_gets_to_the_form(world):
    browser = world.browser()
    page = await follow(browser, await browser.ask("GET", path(action="register")))

    assert "Make an account" in page.text
    assert "Continue with Company login" in page.text


async def test_who_is_signed_in_is_asked_and_can_be_somebody_else(world):
    browser = world.browser()
    await world.sign_in(browser)
    page = await follow(browser, await browser.ask("GET", path()))
    assert page.location is None

    page = await browser.submit(page, 1)

    assert "Sign in to localhost" in page.text


async def test_another_site_cannot_agree_for_the_user(world):
    browser = world.browser()
    await world.sign_in(browser)
    page = await follow(browser, await browser.ask("GET", path("https://evil.example.org/")))
    action = page.forms[0][0]["action"]

    assert (await browser.ask("POST", action, b"")).status == 403
    assert (await browser.ask("POST", action, b"form_key=guessed")).status == 403
    browser.headers = {"sec-fetch-site": "cross-site"}
    assert (await browser.submit(page)).status == 403


@pytest.mark.parametrize(
    ("url", "is_trusted"),
    [
        ("https://app.example.com/web", True),
        ("https://app.example.com/web/?a=b#c", True),
        ("https://app.example.com/website", False),
        ("https://app.example.com/web/../evil", False),
        ("https://app.example.com/web/%2e%2e/evil", False),
        ("https://app.example.com.evil.org/web/", False),
        ("http://app.example.com/web/", False),
        ("https://app.example.com:444/web/", False),
    ],
)
async def test_clients_that_the_operator_trusts_get_a_token_without_a_question(
    stopped_world, url, is_trusted
):
    world = stopped_world
    world.configure(sign_in={"trusted_redirects": ("https://app.example.com/web",)})
    await world.server.start()
    browser = world.browser()
    await world.sign_in(browser)

    page = await follow(browser, await browser.ask("GET", path(url)))

    assert ("asks to act" in page.text) is not is_trusted
    assert page.location is None
    if is_trusted:
        _, _, location = page.headers["Refresh"].partition("; url=")
        assert location.startswith(url.partition("?")[0].partition("#")[0] + "?")
        assert [one["href"] for tag, one in page.elements if tag == "a"] == [location]
        assert (await world.log_in(location))[0] == 200
    else:
        assert "Refresh" not in page.headers


@pytest.mark.parametrize(
    "url",
    [
        "", "app.example.com", "//app.example.com/", "/account", "javascript:alert(1)", "JAVASCRIPT:alert(1)",
        "data:text/html,x", "https://user@app.example.com/", "https://", "https:app.example.com",
        "https://a;script-src/", "https://ex\u00e4mple.org/", "https://a.b/\r\nSet-Cookie: x", "https://a.b:x/",
        "https://a.b/\\evil", "https://[::1", "https://a.b/" + "x" * 4_000,
    ],
)  # fmt: skip
async def test_a_token_is_sent_nowhere_but_to_a_client(world, url):
    browser = world.browser()
    await world.sign_in(browser)

    for page in [
        await browser.ask("GET", path(url)),
        await browser.ask("GET", path(url, "/company")),
        await browser.open(f"/account/sso?redirectUrl={quote(url, safe='')}"),
        await browser.ask("POST", f"/account/sso?redirectUrl={quote(url, safe='')}"),
    ]:
        assert page.status == 400
        assert page.location is None
        assert "redirectUrl" in page.text


async def test_an_unknown_provider_gets_a_page_that_says_so(world):
    page = await world.browser().ask("GET", path(provider="/nobody"))

    assert page.status == 404
    assert "There is no such way to sign in here." in page.text


async def test_without_the_pages_there_is_no_redirect(stopped_world):
    world = stopped_world
    world.configure(oauth=OAuthSection(enabled=False))
    world.server.configuration = replace(world.server.configuration, sign_in=SignInSection())
    await world.server.start()

    _, answer = await world.server.call("GET", "/_matrix/client/v3/login")
    status, refused = await world.server.call("GET", path())

    assert "m.login.sso" not in [flow["type"] for flow in answer["flows"]]
    assert (status, refused["errcode"]) == (404, "M_UNRECOGNIZED")
