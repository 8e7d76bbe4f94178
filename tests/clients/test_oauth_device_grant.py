import pytest

from homeserver.accounts.oauth.device_grants import Guesses
from homeserver.core.errors import LimitExceeded
from tests.doubles.accounts import MovableClock
from tests.doubles.oauth import METADATA, Browser, OAuthClient, scope_of

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
LINK = "/account/link"


@pytest.fixture
async def client(rooms_server):
    return await OAuthClient(rooms_server).register()


@pytest.fixture
def browser(rooms_server):
    return Browser(rooms_server)


async def begin(client, **changes):
    fields = {"client_id": client.client_id, "scope": scope_of("TV"), **changes}
    return await client.post("/oauth2/device", **fields)


async def poll(client, device_code, **changes):
    fields = {"grant_type": DEVICE_CODE, "device_code": device_code, "client_id": client.client_id}
    return await client.post("/oauth2/token", **{**fields, **changes})


async def consent_page(browser, answer):
    page = await browser.open(answer["verification_uri_complete"])
    if any("password" in fields for _, fields in page.forms):
        page = await browser.sign_in(page, "alice")
    return await browser.submit(page)


async def rest(server, seconds=5):
    """Let time pass for the clients that wait."""
    await server.database.execute(
        "UPDATE oauth_device_grants SET polled_ms = polled_ms - %s::bigint", seconds * 1_000
    )


async def test_a_device_without_a_browser_is_signed_in(rooms_server, alice, client, browser):
    status, answer = await begin(client)
    assert status == 200
    assert (answer["expires_in"], answer["interval"]) == (900, 5)
    assert answer["verification_uri"] == "http://127.0.0.1:8008/account/link"
    assert (await poll(client, answer["device_code"]))[1]["error"] == "authorization_pending"

    page = await consent_page(browser, answer)
    assert "Talk" in page.text
    assert answer["user_code"] in page.text
    page = await browser.submit(page, decision="allow")
    assert "being signed in" in page.text

    status, tokens = await poll(client, answer["device_code"])
    assert status == 200
    _, who = await rooms_server.call("GET", "/_matrix/client/v3/account/whoami", token=tokens["access_token"])
    assert (who["user_id"], who["device_id"]) == ("@alice:localhost", "TV")
    assert (await client.refresh(tokens["refresh_token"]))[0] == 200
    # Existing devices look for the new one at once.
    assert (await alice.get("/devices/TV"))["display_name"] == "Talk"


@pytest.mark.parametrize("typed", [str.lower, lambda code: code.replace("-", ""), lambda code: f" {code} "])
async def test_a_code_may_be_typed_in_any_way(alice, client, browser, typed):
    _, answer = await begin(client)
    page = await browser.sign_in(await browser.open(LINK), "alice")

    page = await browser.submit(page, user_code=typed(answer["user_code"]))

    assert "Talk" in page.text


async def test_a_user_who_does_not_allow_it_is_heard(rooms_server, alice, client, browser):
    _, answer = await begin(client)
    page = await consent_page(browser, answer)

    await browser.submit(page, decision="deny")

    assert (await poll(client, answer["device_code"]))[1]["error"] == "access_denied"


async def test_opening_the_link_alone_decides_nothing(alice, client, browser):
    _, answer = await begin(client)

    await consent_page(browser, answer)

    assert (await poll(client, answer["device_code"]))[1]["error"] == "authorization_pending"


async def test_a_client_that_asks_too_fast_is_told_to_slow_down_and_waits_longer(rooms_server, alice, client):
    _, answer = await begin(client)

    assert (await poll(client, answer["device_code"]))[1]["error"] == "authorization_pending"
    assert (await poll(client, answer["device_code"]))[1]["error"] == "slow_down"
    await rest(rooms_server, 5)
    assert (await poll(client, answer["device_code"]))[1]["error"] == "slow_down"
    await rest(rooms_server, 15)
    assert (await poll(client, answer["device_code"]))[1]["error"] == "authorization_pending"


async def test_codes_run_out(rooms_server, alice, client, browser):
    _, answer = await begin(client)
    page = await consent_page(browser, answer)
    await rooms_server.database.execute("UPDATE oauth_device_grants SET created_ms = created_ms - 900000")

    page = await browser.submit(page, decision="allow")

    assert page.status == 404
    assert (await poll(client, answer["device_code"]))[1]["error"] == "expired_token"


async def test_a_device_code_that_is_used_again_ends_its_session(rooms_server, alice, client, browser):
    _, answer = await begin(client)
    await browser.submit(await consent_page(browser, answer), decision="allow")
    _, tokens = await poll(client, answer["device_code"])

    status, again = await poll(client, answer["device_code"])

    assert (status, again["error"]) == (400, "invalid_grant")
    token = tokens["access_token"]
    assert (await rooms_server.call("GET", "/_matrix/client/v3/account/whoami", token=token))[0] == 401


async def test_a_mixed_up_client_gets_nothing_for_the_device_code_of_another(
    rooms_server, alice, client, browser
):
    other = await OAuthClient(rooms_server).register(METADATA | {"client_name": "Other"})
    _, answer = await begin(client)
    await browser.submit(await consent_page(browser, answer), decision="allow")

    assert (await poll(other, answer["device_code"]))[1]["error"] == "invalid_grant"
    assert (await poll(client, answer["device_code"]))[0] == 200


async def test_one_decision_cannot_be_changed_by_another_user(rooms_server, alice, bob, client, browser):
    _, answer = await begin(client)
    other = Browser(rooms_server)
    page = await other.sign_in(await other.open(LINK), "bob")
    bobs = await other.submit(page, user_code=answer["user_code"])
    await browser.submit(await consent_page(browser, answer), decision="allow")

    page = await other.submit(bobs, decision="allow")

    assert page.status == 404
    _, tokens = await poll(client, answer["device_code"])
    _, who = await rooms_server.call("GET", "/_matrix/client/v3/account/whoami", token=tokens["access_token"])
    assert who["user_id"] == "@alice:localhost"


async def test_guessing_codes_is_slowed_down_whoever_does_it_and_from_wherever(rooms_server, alice, client):
    _, answer = await begin(client)
    guesser = Browser(rooms_server)
    page = await guesser.sign_in(await guesser.open(LINK), "alice")
    for number in range(5):
        guesser.address = f"10.0.0.{number}"
        page = await guesser.submit(page, user_code="BBBB-BBBB")
        assert page.status == 404

    page = await guesser.submit(page, user_code=answer["user_code"])

    assert page.status == 429
    assert "Too many wrong codes" in page.text


async def test_right_codes_cost_nothing(rooms_server, alice, client, browser):
    _, answer = await begin(client)
    page = await browser.sign_in(await browser.open(LINK), "alice")

    for _ in range(8):
        assert (await browser.submit(page, user_code=answer["user_code"])).status == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": ""}, "invalid_request"),
        ({"scope": ""}, "invalid_request"),
        ({"scope": "openid"}, "invalid_scope"),
    ],
)
async def test_a_bad_request_is_refused(client, changes, error):
    status, answer = await begin(client, **changes)

    assert (status, answer["error"]) == (401 if error == "invalid_client" else 400, error)


async def test_a_client_must_have_registered_for_the_grant(rooms_server):
    client = await OAuthClient(rooms_server).register(METADATA | {"grant_types": ["authorization_code"]})

    assert (await begin(client))[1]["error"] == "unauthorized_client"


async def test_a_client_for_this_grant_alone_needs_no_redirect_uri(rooms_server):
    metadata = {"client_uri": "https://example.com/", "grant_types": [DEVICE_CODE], "response_types": []}
    client = await OAuthClient(rooms_server).register(metadata)

    assert (await begin(client))[0] == 200


async def test_nobody_decides_without_signing_in(rooms_server, alice, client, browser):
    _, answer = await begin(client)

    page = await browser.open(answer["verification_uri_complete"])

    assert "password" in page.forms[0][1]
    assert answer["user_code"] not in page.text


def test_guesses_are_regained_with_time_and_the_longest_quiet_are_forgotten():
    clock = MovableClock()
    guesses = Guesses(clock, per_second=1, burst=1, keys_max=2)
    guesses.take("a")
    with pytest.raises(LimitExceeded):
        guesses.take("a")

    clock.advance(1_000)
    guesses.take("a")
    guesses.take("b")
    guesses.take("c")
    guesses.take("a")
