import pytest

from tests.doubles.oauth import Browser, OAuthClient

ACCOUNT = "/account"


@pytest.fixture
async def browser(rooms_server, alice):
    """Give Alice a browser that is signed in."""
    browser = Browser(rooms_server)
    await browser.sign_in(await browser.open(ACCOUNT), "alice")
    return browser


async def status_of(server, token):
    return (await server.call("GET", "/_matrix/client/v3/account/whoami", token=token))[0]


async def test_the_metadata_announces_the_page_and_its_actions(rooms_server):
    _, metadata = await rooms_server.call("GET", "/_matrix/client/v1/auth_metadata")

    assert metadata["account_management_uri"] == "http://127.0.0.1:8008/account"
    assert set(metadata["account_management_actions_supported"]) == {
        "org.matrix.profile",
        "org.matrix.devices_list",
        "org.matrix.device_view",
        "org.matrix.device_delete",
        "org.matrix.account_deactivate",
        "org.matrix.cross_signing_reset",
    }


async def test_a_deep_link_survives_signing_in(rooms_server, alice):
    browser = Browser(rooms_server)

    page = await browser.sign_in(await browser.open(ACCOUNT + "?action=org.matrix.profile"), "alice")

    assert page.text.startswith("Your profile")


@pytest.mark.parametrize(
    "action",
    ["", "?action=org.matrix.devices_list", "?action=org.matrix.sessions_list", "?action=x"],
)
async def test_the_devices_are_listed_with_the_clients_they_were_signed_in_by(
    rooms_server, alice, browser, action
):
    client = await OAuthClient(rooms_server).register()
    await client.sign_in(browser)

    page = await browser.open(ACCOUNT + action)

    assert "Talk from example.com" in page.text
    links = [one["href"] for tag, one in page.elements if tag == "a"]
    assert "/account?action=org.matrix.device_view&device_id=PHONE" in links


@pytest.mark.parametrize(
    "action", ["org.matrix.device_view", "org.matrix.device_delete", "org.matrix.session_end"]
)
async def test_a_device_is_signed_out(rooms_server, alice, browser, action):
    client = await OAuthClient(rooms_server).register()
    tokens = await client.sign_in(browser)
    page = await browser.open(f"{ACCOUNT}?action={action}&device_id=PHONE")
    assert "PHONE" in page.text
    assert await status_of(rooms_server, tokens["access_token"]) == 200, "looking does nothing"

    page = await browser.submit(page)

    assert "Talk" not in page.text
    assert await status_of(rooms_server, tokens["access_token"]) == 401
    assert (await client.refresh(tokens["refresh_token"]))[0] == 400


async def test_devices_of_others_are_out_of_reach(rooms_server, alice, bob, browser):
    device_id = (await bob.get("/devices"))["devices"][0]["device_id"]
    path = f"{ACCOUNT}?action=org.matrix.device_delete&device_id={device_id}"
    key = (await browser.open(ACCOUNT)).forms[0][1]["form_key"]

    seen = await browser.open(path)
    done = await browser.ask("POST", path, f"form_key={key}".encode())

    assert (seen.status, done.status) == (404, 404)
    assert await status_of(rooms_server, bob.token) == 200


async def test_the_name_is_changed(alice, browser):
    page = await browser.open(ACCOUNT + "?action=org.matrix.profile")

    page = await browser.submit(page, name="Alice <3")

    assert page.forms[0][1]["name"] == "Alice <3"
    assert (await alice.get(f"/profile/{alice.user_id}/displayname")) == {"displayname": "Alice <3"}


async def test_a_suspended_user_keeps_their_name(rooms_server, alice, browser):
    page = await browser.open(ACCOUNT + "?action=org.matrix.profile")
    await rooms_server.database.execute("UPDATE accounts SET is_suspended = true")

    page = await browser.submit(page, name="Mallory")

    assert page.status == 403
    assert (await alice.get(f"/profile/{alice.user_id}/displayname")) == {"displayname": "alice"}


async def test_an_account_is_deactivated_with_its_password(rooms_server, alice, browser):
    path = ACCOUNT + "?action=org.matrix.account_deactivate"
    password = "correct horse battery staple"
    page = await browser.submit(await browser.open(path), password="wrong", sure="yes")
    assert page.status == 403
    page = await browser.submit(await browser.open(path), password=password)
    assert page.status == 403
    assert await status_of(rooms_server, alice.token) == 200

    page = await browser.submit(await browser.open(path), password=password, sure="yes")

    assert page.text.startswith("Your account is deactivated")
    assert await status_of(rooms_server, alice.token) == 401
    page = await browser.open(ACCOUNT)
    assert (await browser.sign_in(page, "alice")).status == 403


async def test_nothing_is_shown_or_done_without_signing_in(rooms_server, alice):
    stranger = Browser(rooms_server)

    page = await stranger.open(ACCOUNT)
    answer = await stranger.ask("POST", ACCOUNT + "?action=org.matrix.account_deactivate", b"sure=yes")

    assert "alice" not in page.text
    assert answer.status == 403
    assert await status_of(rooms_server, alice.token) == 200


async def test_signing_the_browser_out_leaves_devices_alone(rooms_server, alice, browser):
    page = await browser.open(ACCOUNT)

    page = await browser.submit(page, len(page.forms) - 1)

    assert "password" in page.forms[0][1]
    assert await status_of(rooms_server, alice.token) == 200
