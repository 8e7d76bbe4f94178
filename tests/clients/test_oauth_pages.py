from urllib.parse import quote

import pytest

from clients.oauth.browser import local_path
from homeserver.config.model import Configuration
from tests.doubles.oauth import Browser, OAuthClient, answer_in

LOGIN, REGISTER = "/account/login", "/account/register"


@pytest.fixture
async def client(rooms_server):
    return await OAuthClient(rooms_server).register()


@pytest.fixture
def browser(rooms_server):
    return Browser(rooms_server)


def has_password(page):
    return any("password" in fields for _, fields in page.forms)


async def test_every_page_is_closed_to_other_sites_and_runs_no_scripts(alice, client, browser):
    pages = [await browser.open(client.authorize_path()), await browser.open(REGISTER)]
    pages.append(await browser.sign_in(pages[0], "alice"))
    pages.append(await browser.open(client.authorize_path(client_id="nobody")))

    for page in pages:
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script-src" not in policy
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Referrer-Policy"] == "no-referrer"
        for tag, attributes in page.elements:
            assert tag not in {"script", "img", "link", "iframe"}
            assert not any(name.startswith("on") for name in attributes)


async def test_every_field_has_a_label_and_every_page_a_language_and_a_heading(alice, client, browser):
    for page in [await browser.open(client.authorize_path()), await browser.open(REGISTER)]:
        tags = [tag for tag, _ in page.elements]
        assert ("html", {"lang": "en"}) in page.elements
        assert tags.count("h1") == tags.count("title") == tags.count("main") == 1
        labels = {one.get("for") for tag, one in page.elements if tag == "label"}
        fields = [one for tag, one in page.elements if tag == "input" and one["type"] != "hidden"]
        assert len(fields) > 1
        assert {one["id"] for one in fields} <= labels


async def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(rooms_server, browser):
    page = await browser.ask("GET", LOGIN)

    cookie = page.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))


async def test_signing_in_changes_the_cookie_and_keeps_the_browser_signed_in(alice, client, browser):
    page = await browser.open(client.authorize_path())
    before = dict(browser.cookies)

    await browser.sign_in(page, "alice")

    assert browser.cookies != before
    again = await browser.open(client.authorize_path())
    assert not has_password(again)
    assert "@alice:localhost" in again.text


@pytest.mark.parametrize(
    ("user", "password"), [("alice", "wrong"), ("nobody", "wrong"), ("", ""), ("a b", "x")]
)
async def test_a_wrong_password_is_told_as_one_who_has_no_account_is(alice, client, browser, user, password):
    page = await browser.sign_in(await browser.open(client.authorize_path()), user, password)

    assert page.status == 403
    assert "The user name or the password is wrong." in page.text
    assert has_password(page)


async def test_guessing_is_slowed_down(alice, client, browser):
    page = await browser.open(LOGIN)
    for _ in range(12):
        page = await browser.sign_in(page, "alice", "wrong")

    assert page.status == 429
    assert "Too many wrong passwords" in page.text


async def test_a_form_of_another_site_is_refused(alice, client, browser):
    page = await browser.sign_in(await browser.open(client.authorize_path()), "alice")
    action = page.forms[0][0]["action"]

    without = await browser.ask("POST", action, b"decision=allow")
    guessed = await browser.ask("POST", action, b"decision=allow&form_key=" + b"0" * 64)
    key = page.forms[0][1]["form_key"].encode()
    browser.headers["sec-fetch-site"] = "cross-site"
    from_elsewhere = await browser.ask("POST", action, b"decision=allow&form_key=" + key)

    assert [one.status for one in (without, guessed, from_elsewhere)] == [403] * 3
    assert [one.location for one in (without, guessed, from_elsewhere)] == [None] * 3


async def test_nobody_signs_another_browser_in_as_themselves(rooms_server, alice, browser):
    other = Browser(rooms_server)
    page = await other.open(LOGIN)

    stolen = await browser.submit(page, user="alice", password="correct horse battery staple")

    assert stolen.status == 403
    assert browser.cookies == {}


async def test_a_locked_account_cannot_sign_in_and_its_browsers_are_signed_out(
    rooms_server, alice, client, browser
):
    await browser.sign_in(await browser.open(client.authorize_path()), "alice")
    await rooms_server.database.execute("UPDATE accounts SET is_locked = true")

    page = await browser.open(client.authorize_path())
    assert has_password(page)

    page = await browser.sign_in(page, "alice")
    assert page.status in {401, 403}


async def test_a_deactivated_account_is_signed_out_everywhere(rooms_server, alice, client, browser):
    await browser.sign_in(await browser.open(client.authorize_path()), "alice")
    await rooms_server.database.execute("UPDATE accounts SET deactivated_ms = 1")

    assert has_password(await browser.open(client.authorize_path()))


@pytest.mark.parametrize("what", ["is_locked = true", "deactivated_ms = 1"])
async def test_what_was_allowed_before_an_account_was_closed_opens_nothing(
    rooms_server, alice, client, browser, what
):
    code = await client.code(browser)
    await rooms_server.database.execute(f"UPDATE accounts SET {what}")

    status, answer = await client.exchange(code)

    assert (status, answer["error"]) == (400, "invalid_grant")
    assert await rooms_server.database.fetch("SELECT 1 FROM oauth_sessions") == []


async def test_a_new_password_signs_all_browsers_out_and_takes_back_what_they_allowed(
    rooms_server, alice, client, browser
):
    code = await client.code(browser)
    changes = rooms_server.services.account_care.password_changes

    await changes.set(alice.user_id, "another good password", logs_out=False)

    assert has_password(await browser.open(client.authorize_path()))
    assert (await client.exchange(code))[1]["error"] == "invalid_grant"


async def test_the_session_of_a_browser_ends_after_half_a_day(rooms_server, alice, client, browser):
    await browser.sign_in(await browser.open(client.authorize_path()), "alice")
    await rooms_server.database.execute("UPDATE browser_sessions SET created_ms = created_ms - 43200000")

    assert has_password(await browser.open(client.authorize_path()))


async def test_another_account_can_be_used(alice, bob, client, browser):
    page = await browser.sign_in(await browser.open(client.authorize_path()), "alice")

    page = await browser.sign_in(await browser.submit(page, 1), "bob")

    assert "@bob:localhost" in page.text


async def test_a_new_user_makes_an_account_on_the_way(rooms_server, client, browser):
    page = await browser.open(client.authorize_path(prompt="create"))
    assert "Make an account" in page.text

    secret = "a long and good password"
    page = await browser.submit(page, user="Dora", password=secret, password_again=secret)
    assert "@dora:localhost" in page.text
    page = await browser.submit(page, decision="allow")

    status, answer = await client.exchange(answer_in(page.location)["code"])
    assert status == 200
    _, who = await rooms_server.call("GET", "/_matrix/client/v3/account/whoami", token=answer["access_token"])
    assert who["user_id"] == "@dora:localhost"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"user": "alice"}, "taken"),
        ({"user": "A b"}, "may only hold"),
        ({"user": ""}, "Choose a user name"),
        ({"password": "short", "password_again": "short"}, "at least 8 characters"),
        ({"password_again": "another password"}, "not the same"),
        ({"password": "", "password_again": ""}, "Choose a password"),
    ],
)
async def test_what_is_wrong_with_a_new_account_is_told(alice, browser, fields, told):
    good = {"user": "dora", "password": "a long password", "password_again": "a long password"}

    page = await browser.submit(await browser.open(REGISTER), **{**good, **fields})

    assert page.status == 400
    assert told in page.text


async def test_what_people_typed_is_shown_as_text(alice, browser):
    page = await browser.sign_in(await browser.open(LOGIN), '"><script>alert(1)</script>', "wrong")

    assert "script" not in [tag for tag, _ in page.elements]


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.org/", "//evil.org/account", "/\\evil.org", "/account\\..", "javascript:alert(1)",
        "/_matrix/x",
        "/accounts", "/account/../_matrix", "", None, "/account\n", "/account?" + "x" * 9_000, "account", "http://[",
    ],
)  # fmt: skip
def test_nobody_is_sent_to_another_site_after_signing_in(path):
    assert local_path(path) == "/account"


@pytest.mark.parametrize(
    "path", ["/oauth2/authorize?a=b", "/account", "/account/link?user_code=A", "/account?a=b"]
)
def test_people_go_on_where_they_were(path):
    assert local_path(path) == path


async def test_a_link_to_the_login_page_leads_nowhere_else(alice, browser):
    page = await browser.open(LOGIN + "?continue=" + quote("https://evil.org/"))
    action = page.forms[0][0]["action"]
    fields = f"form_key={page.forms[0][1]['form_key']}&user=alice&password=correct horse battery staple"

    answer = await browser.ask("POST", action, fields.encode())

    assert answer.location == "/account"


def test_the_pages_are_on_unless_they_are_switched_off():
    assert Configuration().oauth.enabled
