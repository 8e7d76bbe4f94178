"""The account page on the profile, on addresses and on the password: in a browser without scripts."""

from dataclasses import replace

import pytest

from homeserver.accounts.oauth import browser_sessions
from homeserver.config.accounts import MailSection
from storage.tables import threepids
from storage.tables.threepids import ThreepidRow
from tests.clients.test_addresses_of_accounts import follow, log_in
from tests.doubles.mailbox import Mailbox
from tests.doubles.oauth import Browser
from tests.doubles.rooms import PASSWORD, V3, User

pytestmark = pytest.mark.scenario

PROFILE = "/account?action=org.matrix.profile"
CHANGE = "/account?action=password"
NEW = "another long one"
EMAIL = "alice@example.org"


@pytest.fixture
async def mailbox():
    async with Mailbox() as opened:
        yield opened


@pytest.fixture
async def server(rooms_server, mailbox):
    mail = MailSection(host="127.0.0.1", port=mailbox.port, tls="none", sender="matrix@example.org")
    rooms_server.configuration = replace(rooms_server.configuration, mail=mail)
    await rooms_server.restart()
    return rooms_server


@pytest.fixture
async def browser(server, alice):
    browser = Browser(server)
    await browser.sign_in(await browser.open(PROFILE), "alice")
    return browser


@pytest.fixture
def long_ago(monkeypatch):
    """Let every password have been given long ago."""
    monkeypatch.setattr(browser_sessions, "CONFIRMED_MS_MAX", 0)


def form_for(page, what):
    """The number of the form that does something."""
    return next(number for number, (_, known) in enumerate(page.forms) if known.get("what") == what)


async def act(browser, page, what, **fields):
    return await browser.submit(page, form_for(page, what), **fields)


async def addresses_of(user):
    return [one["address"] for one in (await user.get("/account/3pid"))["threepids"]]


async def test_a_picture_is_shown_and_removed(alice, browser):
    path = f"/profile/{alice.user_id}/avatar_url"
    await alice.ask("PUT", path, {"avatar_url": "mxc://localhost/<b>"})
    page = await browser.open(PROFILE)
    shown, tags = page.text, {tag for tag, _ in page.elements}
    page = await act(browser, page, "no_picture")

    assert "mxc://localhost/<b>" in shown
    assert "b" not in tags
    assert "mxc" not in page.text
    assert await alice.get(f"/profile/{alice.user_id}") == {"displayname": "alice"}


async def test_an_address_is_added_when_its_link_was_followed(server, mailbox, alice, browser):
    page = await act(browser, await browser.open(PROFILE), "add_address", email="Alice@Example.org")
    assert EMAIL in page.text
    early = await act(browser, page, "finish_address")
    assert (early.status, await addresses_of(alice)) == (403, [])
    assert (await follow(server, await mailbox.next_link())).status == 200
    page = await act(browser, early, "finish_address")

    assert EMAIL in page.text
    assert await addresses_of(alice) == [EMAIL]
    page = await act(browser, page, "remove_address")
    assert EMAIL not in page.text
    assert await addresses_of(alice) == []


@pytest.mark.usefixtures("long_ago")
async def test_an_address_needs_the_password_at_both_steps(server, mailbox, alice, browser):
    page = await browser.open(PROFILE)
    wrong = await act(browser, page, "add_address", email=EMAIL, password="wrong")
    page = await act(browser, page, "add_address", email=EMAIL, password=PASSWORD)
    await follow(server, await mailbox.next_link())
    without = await act(browser, page, "finish_address")
    assert (wrong.status, without.status, await addresses_of(alice)) == (403, 403, [])
    await act(browser, without, "finish_address", password=PASSWORD)

    assert await addresses_of(alice) == [EMAIL]


async def test_what_is_no_address_or_another_ones_is_refused(server, mailbox, alice, bob, browser):
    await threepids.add(server.database, bob.user_id, ThreepidRow("email", "bob@example.org", 1, 1))
    page = await browser.open(PROFILE)
    nonsense = await act(browser, page, "add_address", email="nonsense")
    taken = await act(browser, page, "add_address", email="bob@example.org")
    told = " ".join((await mailbox.next()).get_content().split())
    foreign = await act(browser, taken, "finish_address")
    others = await browser.submit(page, what="remove_address", medium="email", address="bob@example.org")

    assert [nonsense.status, taken.status, foreign.status, others.status] == [400, 200, 403, 200]
    assert "Another account has it" in told
    assert await addresses_of(alice) == []
    assert await addresses_of(bob) == ["bob@example.org"]


async def test_without_mail_addresses_are_listed_and_removed_only(rooms_server, alice):
    await threepids.add(rooms_server.database, alice.user_id, ThreepidRow("msisdn", "442079460018", 1, 1))
    browser = Browser(rooms_server)
    page = await browser.sign_in(await browser.open(PROFILE), "alice")
    forms = {known.get("what") for _, known in page.forms}
    refused = await browser.submit(page, what="add_address", email=EMAIL)
    page = await act(browser, page, "remove_address")

    assert "remove_address" in forms
    assert "add_address" not in forms
    assert refused.status == 400
    assert await addresses_of(alice) == []


async def test_a_suspended_user_changes_nothing(server, alice, browser):
    page = await browser.open(PROFILE)
    await server.database.execute("UPDATE accounts SET is_suspended = true")

    assert (await act(browser, page, "add_address", email=EMAIL)).status == 403


async def change(browser, page=None, **fields):
    page = page or await browser.open(CHANGE)
    return await browser.submit(
        page, **{"password": PASSWORD, "new_password": NEW, "password_again": NEW, **fields}
    )


async def whoami(server, token):
    return (await server.call("GET", f"{V3}/account/whoami", token=token))[0]


async def test_a_new_password_signs_other_browsers_out_and_devices_if_that_is_wanted(server, alice, browser):
    other = Browser(server)
    await other.sign_in(await other.open(PROFILE), "alice")
    page = await change(browser)
    assert page.text.startswith("Your devices")
    assert await whoami(server, alice.token) == 200
    assert (await other.open(PROFILE)).text.startswith("Sign in")
    assert (await log_in(server, {"type": "m.id.user", "user": "alice"}))[0] == 403
    page = await change(browser, password=NEW, sign_out="yes")

    assert page.text.startswith("Your devices")
    assert "No device" in page.text
    assert await whoami(server, alice.token) == 401
    assert (await log_in(server, {"type": "m.id.user", "user": "alice"}, NEW))[0] == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"password": "wrong"}, 403),
        ({"password": ""}, 403),
        ({"password_again": "x"}, 400),
        ({"new_password": "x", "password_again": "x"}, 400),
    ],
)
async def test_a_password_that_cannot_be_set_is_refused(server, alice, browser, fields, status):
    assert (await change(browser, **fields)).status == status
    assert (await log_in(server, {"type": "m.id.user", "user": "alice"}))[0] == 200
    assert await whoami(server, alice.token) == 200


async def test_who_has_no_password_sets_one_shortly_after_signing_in(server, alice, browser, monkeypatch):
    await server.database.execute("UPDATE accounts SET password_hash = NULL")
    page = await browser.open(CHANGE)
    asked = [one["name"] for tag, one in page.elements if tag == "input" and one["type"] == "password"]
    with monkeypatch.context() as patched:
        patched.setattr(browser_sessions, "CONFIRMED_MS_MAX", 0)
        late, told = await change(browser, page), await browser.open(CHANGE)
    assert (await log_in(server, {"type": "m.id.user", "user": "alice"}, NEW))[0] == 403
    done = await change(browser, page)

    assert asked == ["new_password", "password_again"]
    assert late.status == 403
    assert "has no password" in told.text
    assert done.status == 200
    status, answer = await log_in(server, {"type": "m.id.user", "user": "alice"}, NEW)
    assert (status, User(server, answer).user_id) == (200, alice.user_id)


async def test_pages_have_headings_and_a_label_for_each_input(alice, browser):
    await alice.ask("PUT", f"/profile/{alice.user_id}/avatar_url", {"avatar_url": "mxc://localhost/x"})
    for path in (PROFILE, CHANGE):
        page = await browser.open(path)
        labels = {one["for"] for tag, one in page.elements if tag == "label" and "for" in one}
        typed = [
            one for tag, one in page.elements
            if tag == "input" and one["type"] not in {"hidden", "checkbox"}
        ]  # fmt: skip

        assert typed
        assert {one["id"] for one in typed} == labels
        assert not any(tag == "script" for tag, _ in page.elements)
