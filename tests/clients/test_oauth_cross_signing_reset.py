import pytest

from tests.doubles.oauth import Browser, OAuthClient
from tests.doubles.rooms import PASSWORD, User
from tests.factory.crypto_user import CrossSigner

UPLOAD = "/keys/device_signing/upload"


@pytest.fixture
def browser(rooms_server):
    return Browser(rooms_server)


@pytest.fixture
async def phone(rooms_server, alice, browser):
    """Give Alice a client that got its session by OAuth 2.0, and keys that it may not simply replace."""
    client = await OAuthClient(rooms_server).register()
    answer = await client.sign_in(browser)
    phone = User(rooms_server, {"user_id": alice.user_id, "access_token": answer["access_token"]})
    await phone.ask("POST", UPLOAD, CrossSigner(alice.user_id).body())
    return phone


async def asked_to_approve(user, body):
    """Upload other keys; returns the session, and where the user can approve it."""
    status, answer = await user.try_("POST", UPLOAD, body)
    assert status == 401, answer
    assert {"stages": ["m.oauth"]} in answer["flows"]
    return answer["session"], answer["params"]["m.oauth"]["url"]


async def approve(browser, url, password=PASSWORD):
    return await browser.submit(await browser.open(url), password=password)


async def test_keys_are_replaced_once_after_the_user_has_approved_it_on_the_page(alice, phone, browser):
    body = CrossSigner(alice.user_id).body()
    session, url = await asked_to_approve(phone, body)
    assert url == "http://127.0.0.1:8008/account?action=org.matrix.cross_signing_reset"

    page = await approve(browser, url)
    assert page.text.startswith("Approved")

    assert await phone.try_("POST", UPLOAD, {**body, "auth": {"session": session}}) == (200, {})
    await asked_to_approve(phone, CrossSigner(alice.user_id).body())


async def test_without_an_approval_nothing_helps(alice, phone, browser):
    body = CrossSigner(alice.user_id).body()
    session, url = await asked_to_approve(phone, body)

    page = await approve(browser, url, "wrong")

    assert page.status == 403
    password = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "alice"},
                "password": PASSWORD, "session": session}  # fmt: skip
    for auth in [{"session": session}, {"session": session, "type": "m.oauth"}, password]:
        assert (await phone.try_("POST", UPLOAD, {**body, "auth": auth}))[0] == 401


async def test_an_approval_is_good_for_ten_minutes_and_for_its_user(rooms_server, alice, bob, phone, browser):
    body = CrossSigner(alice.user_id).body()
    _, url = await asked_to_approve(phone, body)
    other = Browser(rooms_server)
    await other.sign_in(await other.open(url), "bob")
    await approve(other, url)
    await asked_to_approve(phone, body)

    await approve(browser, url)
    await rooms_server.database.execute("UPDATE uia_sessions SET created_ms = created_ms - 600000")

    await asked_to_approve(phone, body)


async def test_approving_twice_is_approving_once(alice, phone, browser):
    body = CrossSigner(alice.user_id).body()
    _, url = await asked_to_approve(phone, body)
    await approve(browser, url)
    await approve(browser, url)

    assert (await phone.try_("POST", UPLOAD, body))[0] == 200
    await asked_to_approve(phone, CrossSigner(alice.user_id).body())


async def test_a_session_that_was_opened_with_a_password_is_asked_for_it(alice, phone):
    status, answer = await alice.try_("POST", UPLOAD, CrossSigner(alice.user_id).body())

    assert status == 401
    assert answer["flows"] == [{"stages": ["m.login.password"]}]
