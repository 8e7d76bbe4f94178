"""Signing in by a provider, from the button to the session, and every way in which that is refused."""

from dataclasses import replace

import pytest

from tests.clients.sso.sso_world import ERIKA, is_signed_in
from tests.doubles.oauth import OAuthClient, answer_in
from tests.doubles.openid_provider import ISSUER


async def identities(world):
    return await world.server.database.fetch("SELECT provider_id, subject, user_id FROM upstream_identities")


async def test_the_login_page_leads_to_the_provider_and_an_account_is_made_on_the_way_back(world, browser):
    page = await browser.open("/account/login")
    links = [one for tag, one in page.elements if tag == "a" and "upstream" in one["href"]]
    page = await browser.open(links[0]["href"])
    page = await world.come_back(browser, world.provider.authorize(page.location))

    assert is_signed_in(page)
    _, profile = await world.server.call("GET", "/_matrix/client/v3/profile/@erika:localhost")
    assert profile["displayname"] == "Erika Mustermann"
    addresses = world.server.services.accounts.addresses.threepids
    assert await addresses.user_of("email", "erika@example.org") == ERIKA
    assert await identities(world) == [("company", "f3a1-0001", ERIKA)]


async def test_who_comes_again_has_the_same_account_whatever_the_claims_say_now(world, browser):
    await world.sign_in(browser)
    world.provider.person |= {"preferred_username": "renamed", "name": "Other"}

    assert is_signed_in(await world.sign_in(world.browser()))


async def test_a_client_gets_a_token_by_oauth_of_who_signs_in_by_the_provider(world, browser):
    client = await OAuthClient(world.server).register()
    path = client.authorize_path()
    await browser.open(path)

    page = await world.sign_in(browser, path)
    page = await browser.submit(page, decision="allow")
    status, answer = await client.exchange(answer_in(page.location)["code"])

    assert status == 200
    _, who = await world.server.call("GET", "/_matrix/client/v3/account/whoami", token=answer["access_token"])
    assert who["user_id"] == ERIKA


async def test_what_the_id_token_lacks_is_asked_for(world, browser):
    world.provider.in_userinfo = {"preferred_username", "name", "email", "email_verified"}

    assert is_signed_in(await world.sign_in(browser))
    assert ("GET", "/userinfo") in world.provider.asked


async def test_an_address_that_the_provider_has_not_verified_is_not_believed(world, browser):
    world.provider.person["email_verified"] = False

    assert is_signed_in(await world.sign_in(browser))
    addresses = world.server.services.accounts.addresses.threepids
    assert await addresses.user_of("email", "erika@example.org") is None


@pytest.mark.parametrize(
    ("lies", "reason"),
    [
        ({"nonce": "of another sign-in"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"aud": "another client"}, "aud"),
        ({"aud": ["isthmus", "another client"]}, "aud names several"),
        ({"azp": "another client"}, "azp"),
        ({"iss": "https://evil.example.org"}, "iss"),
        ({"iss": ISSUER + "/"}, "iss"),
        ({"exp": 1_700_000_000}, "exp"),
        ({"exp": None}, "exp"),
        ({"exp": True}, "exp"),
        ({"iat": 1_800_001_000}, "iat"),
        ({"nbf": 1_800_001_000}, "nbf"),
        ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "at_hash"),
        ({"sub": None}, "sub"),
        ({"sub": "x" * 256}, "sub"),
        ({"sub": "a\0b"}, "sub"),
    ],
)
async def test_an_id_token_that_says_something_else_signs_nobody_in(world, browser, lies, reason):
    world.provider.lies = lies

    page = await world.sign_in(browser)

    assert page.status == 403
    assert "The answer of Company login was not accepted." in page.text
    assert world.server.refusals[0].startswith(reason)
    assert await identities(world) == []


@pytest.mark.parametrize(
    "forgery",
    ["none", "public key as secret", "other key", "own key in the header", "changed claims"],
)
async def test_an_id_token_that_the_provider_has_not_signed_signs_nobody_in(world, browser, forgery):
    world.provider.forgery = forgery

    page = await world.sign_in(browser)

    assert page.status == 403
    assert await identities(world) == []
    told = world.server.refusals[0]
    assert told.startswith("alg is not" if forgery in {"none", "public key as secret"} else "the signature")


async def test_userinfo_of_somebody_else_is_not_mixed_in(world, browser):
    world.provider.in_userinfo = {"name"}
    world.provider.userinfo_subject = "somebody else"

    assert (await world.sign_in(browser)).status == 403
    assert world.server.refusals == ["userinfo is that of somebody else"]


async def test_an_answer_is_good_once(world, browser):
    url = world.provider.authorize(await world.leave(browser))
    assert is_signed_in(await world.come_back(browser, url))

    page = await world.come_back(browser, url)

    assert page.status == 403
    assert "Begin again." in page.text


async def test_a_code_that_was_used_signs_nobody_in(world, browser):
    url = world.provider.authorize(await world.leave(browser))
    await world.come_back(browser, url)
    other = world.browser()
    asked = await world.leave(other)
    state = answer_in(asked)["state"]

    page = await world.come_back(other, url.replace(answer_in(url)["state"], state))

    assert page.status == 403
    assert world.server.refusals == ["the code was refused (invalid_grant)"]


async def test_a_code_of_another_browser_signs_nobody_in(world, browser):
    """Else an attacker could put somebody into the attacker's account, or get into theirs."""
    stolen = world.provider.authorize(await world.leave(browser))
    attacker = world.browser()
    state = answer_in(await world.leave(attacker))["state"]

    page = await world.come_back(attacker, stolen.replace(answer_in(stolen)["state"], state))

    assert page.status == 403
    assert world.server.refusals == ["the code was refused (invalid_grant)"]


async def test_an_answer_for_another_browser_is_refused_and_still_good_for_that(world, browser):
    url = world.provider.authorize(await world.leave(browser))
    other = world.browser()
    await other.open("/account/login")

    assert (await world.come_back(other, url)).status == 403
    assert (await world.come_back(world.browser(), url)).status == 403
    assert is_signed_in(await world.come_back(browser, url))


async def test_an_answer_that_comes_late_is_refused(world, browser):
    url = world.provider.authorize(await world.leave(browser))
    world.clock.advance(15 * 60_000)

    assert (await world.come_back(browser, url)).status == 403


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace("state=", "state=x"),
        lambda url: url.replace("state=", "other="),
        lambda url: url + "&state=x",
        lambda url: url.replace("company/callback", "other/callback"),
        lambda url: url.replace("code=", "coda="),
        lambda url: url.replace("iss=", "isss="),
        lambda url: url.replace("sso.example.org", "evil.example.org"),
        lambda url: url.partition("?")[0],
    ],
)
async def test_an_answer_that_was_tampered_with_is_refused(world, browser, change):
    url = world.provider.authorize(await world.leave(browser))

    assert (await world.come_back(browser, change(url))).status in {400, 403}
    assert await identities(world) == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("access_denied", "you did not allow it"),
        ("server_error", "could not sign you in (server_error)"),
        ("<script>alert(1)</script>", "(an unknown error)"),
    ],
)
async def test_an_error_of_the_provider_is_told_on_a_page_that_leads_back(world, browser, error, told):
    left = await world.leave(browser, "/account/sso?redirectUrl=https://app.example.com/")
    url = world.provider.refuse(left, error, iss=ISSUER, error_description="<b>no</b>")

    page = await world.come_back(browser, url)

    assert page.status == 403
    assert told in page.text
    assert not [one for tag, one in page.elements if tag in {"b", "script"}]
    back = [one["href"] for tag, one in page.elements if tag == "a"]
    assert back == [
        "/account/login?continue=%2Faccount%2Fsso%3FredirectUrl%3Dhttps%3A%2F%2Fapp.example.com%2F"
    ]


async def test_a_provider_that_is_down_is_told_and_not_asked_again_at_once(world, browser):
    world.provider.is_down = True
    assert (await browser.open("/account/upstream/company")).status == 503
    world.provider.is_down = False

    page = await browser.open("/account/upstream/company")
    world.clock.advance(5_000)

    assert page.status == 503
    assert "Company login does not answer; try again later." in page.text
    assert is_signed_in(await world.sign_in(browser))


async def test_a_provider_that_goes_down_on_the_way_is_told(world, browser):
    url = world.provider.authorize(await world.leave(browser))
    world.provider.is_down = True

    page = await world.come_back(browser, url)

    assert page.status == 503
    assert "does not answer" in page.text


@pytest.mark.parametrize(
    "lies",
    [
        {"issuer": "https://evil.example.org"},
        {"token_endpoint": "http://sso.example.org/token"},
        {"jwks_uri": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"code_challenge_methods_supported": ["plain"]},
    ],
)
async def test_a_provider_whose_metadata_cannot_be_used_is_told_to_the_operator(world, browser, lies):
    world.provider.metadata_lies = lies

    page = await browser.open("/account/upstream/company")

    assert page.status == 503
    assert "is out of order" in page.text
    assert "metadata" in world.server.refusals[0] or "PKCE" in world.server.refusals[0]


@pytest.mark.parametrize(
    "answer",
    [
        (200, ["no", "object"]),
        (200, {"access_token": "a", "token_type": "Bearer"}),
        (200, {"access_token": "a", "token_type": "Bearer", "id_token": "a.b"}),
        (200, {"access_token": "a", "token_type": "Bearer", "id_token": "é.b.c"}),
        (200, {"access_token": "a", "token_type": "Bearer", "id_token": "W10.b.c"}),
        (200, {"access_token": "a", "token_type": "Bearer", "id_token": "eyJhbGciOiAxfQ.b.c"}),
        (200, {"access_token": "a", "token_type": "MAC", "id_token": "a.b.c"}),
        (400, {"error": "<invalid>"}),
        (418, {}),
    ],
)
async def test_nonsense_for_a_code_signs_nobody_in(world, browser, answer):
    world.provider.token_answer = answer

    assert (await world.sign_in(browser)).status == 403
    assert "<" not in world.server.refusals[0]


@pytest.mark.parametrize("path", ["/account/upstream/nobody", "/account/upstream/nobody/callback?state=x"])
async def test_there_is_no_other_provider(browser, path):
    assert (await browser.open(path)).status in {403, 404}


async def test_locked_and_deactivated_accounts_stay_closed(world, browser):
    await world.sign_in(browser)
    database = world.server.database
    await database.execute("UPDATE accounts SET is_locked = true WHERE user_id = %s", ERIKA)
    locked = await world.sign_in(world.browser())
    await database.execute("UPDATE accounts SET is_locked = false, deactivated_ms = 1")
    deactivated = await world.sign_in(world.browser())
    await database.execute("UPDATE accounts SET deactivated_ms = NULL, is_suspended = true")

    assert [locked.status, deactivated.status] == [401, 401]
    assert is_signed_in(await world.sign_in(world.browser()))
    assert len(await identities(world)) == 1


async def test_a_secret_can_be_sent_in_the_body_and_come_from_a_file(stopped_world, tmp_path):
    world = stopped_world
    file = tmp_path / "secret"
    file.write_text(world.server.configuration.sign_in.providers[0].client_secret + "\n")
    world.configure(
        rules={"client_secret": "", "client_secret_file": str(file), "client_authentication": "post"}
    )
    await world.server.start()

    assert is_signed_in(await world.sign_in(world.browser()))


async def test_endpoints_can_be_configured_instead_of_discovered(stopped_world):
    world = stopped_world
    world.configure(
        rules={
            "discovery": False, "authorization_endpoint": ISSUER + "/auth",
            "token_endpoint": ISSUER + "/token", "jwks_uri": ISSUER + "/certs",
        }
    )  # fmt: skip
    await world.server.start()

    assert is_signed_in(await world.sign_in(world.browser()))
    assert ("GET", "/.well-known/openid-configuration") not in world.provider.asked


async def test_the_attempt_survives_a_restart(world, browser):
    url = world.provider.authorize(await world.leave(browser))
    await world.server.restart()

    assert is_signed_in(await world.come_back(browser, url))


async def test_two_providers_are_two_people(world, browser):
    company = world.server.configuration.sign_in.providers[0]
    both = (company, replace(company, id="other", name="Other"))
    section = replace(world.server.configuration.sign_in, providers=both)
    world.server.configuration = replace(world.server.configuration, sign_in=section)
    await world.server.restart()
    await world.sign_in(browser)

    page = await world.browser().open("/account/upstream/other")
    left = await world.leave(browser)
    mixed_up = world.provider.authorize(left).replace("company/callback", "other/callback")

    assert "upstream%2Fother%2Fcallback" in page.location
    assert (await world.come_back(browser, mixed_up)).status == 403
