"""The pages of the stages in which an address is shown to be somebody's: in a browser without scripts."""

from dataclasses import replace

import pytest

from homeserver.config.accounts import MailSection, PhoneSection, RegistrationSection
from tests.clients.test_addresses_of_accounts import ADDRESS, NEW_PASSWORD, add_address, follow, log_in
from tests.doubles.mailbox import Mailbox, TextMessages
from tests.doubles.oauth import Browser
from tests.doubles.rooms import PASSWORD, V3, User

pytestmark = pytest.mark.scenario

EMAIL, MSISDN = "m.login.email.identity", "m.login.msisdn"


@pytest.fixture
async def mailbox():
    async with Mailbox() as opened:
        yield opened


@pytest.fixture
async def server(rooms_server, mailbox):
    TextMessages.sent.clear()
    rooms_server.configuration = replace(
        rooms_server.configuration,
        mail=MailSection(host="127.0.0.1", port=mailbox.port, tls="none", sender="matrix@example.org"),
        phone=PhoneSection(sender="tests.doubles.mailbox:TextMessages"),
        registration=RegistrationSection(mode="open", requires_email=False),
    )
    await rooms_server.restart()
    return rooms_server


class Stage:
    """A stage that a client sends its user to a browser for."""

    def __init__(self, server, path, body, stage):
        self.server, self.path, self.body, self.stage = server, path, body, stage
        self.browser = Browser(server)
        self.session = None

    async def begin(self):
        """Open the page."""
        status, answer = await self.ask()
        assert status == 401
        self.session = answer["session"]
        return await self.browser.open(f"{V3}/auth/{self.stage}/fallback/web?session={self.session}")

    async def submit(self, page, **fields):
        """Send the form of a page: it goes to where the page is."""
        page.forms[0][0]["action"] = f"{V3}/auth/{self.stage}/fallback/web"
        return await self.browser.submit(page, **fields)

    async def ask(self):
        auth = {} if self.session is None else {"auth": {"session": self.session}}
        return await self.server.call("POST", V3 + self.path, {**self.body, **auth})


def registration(server, stage):
    return Stage(server, "/register", {"username": "carol", "password": PASSWORD}, stage)


async def test_an_account_is_made_with_an_address_in_a_browser(server, mailbox):
    stage = registration(server, EMAIL)
    page = await stage.submit(await stage.begin(), email="Carol@Example.org")
    assert "carol@example.org" in page.text
    early = await stage.submit(page)
    assert early.status == 403
    assert (await stage.ask())[0] == 401
    await follow(server, await mailbox.next_link())
    done = await stage.submit(early)
    status, answer = await stage.ask()

    assert (done.status, done.text[:12]) == (200, "That is done")
    assert status == 200, answer
    listed = (await User(server, answer).get("/account/3pid"))["threepids"]
    assert [one["address"] for one in listed] == ["carol@example.org"]


async def test_an_account_is_made_with_a_phone_number_in_a_browser(server):
    stage = registration(server, MSISDN)
    page = await stage.submit(await stage.begin(), country="gb", phone="020 7946 0018")
    ((number, text),) = TextMessages.sent
    wrong = await stage.submit(page, code="000000" if text[:6] != "000000" else "000001")
    done = await stage.submit(wrong, code=text[:6])

    assert number == "442079460018"
    assert (wrong.status, done.status) == (400, 200)
    assert (await stage.ask())[0] == 200


async def test_a_lost_password_is_replaced_with_a_page(server, mailbox, alice):
    await add_address(server, mailbox, alice)
    stage = Stage(server, "/account/password", {"new_password": NEW_PASSWORD}, EMAIL)
    page = await stage.submit(await stage.begin(), email=ADDRESS)
    await follow(server, await mailbox.next_link())
    await stage.submit(page)

    assert (await stage.ask())[0] == 200
    assert (await log_in(server, {"type": "m.id.user", "user": "alice"}, NEW_PASSWORD))[0] == 200


async def test_a_page_for_one_purpose_passes_no_other(server, mailbox, alice):
    await add_address(server, mailbox, alice)
    stage = registration(server, EMAIL)
    page = await stage.submit(await stage.begin(), email=ADDRESS)
    told = (await mailbox.next()).get_content()
    reset = Stage(server, "/account/password", {"new_password": NEW_PASSWORD}, EMAIL)
    await reset.begin()
    hidden = {name: page.forms[0][1][name] for name in ("sid", "client_secret")}
    other = await reset.submit(await reset.begin(), **hidden)

    assert "There is an account with it already" in " ".join(told.split())
    assert (await stage.submit(page)).status == 403
    assert other.status == 403


async def test_what_cannot_be_is_told_on_the_page(server):
    email, phone = registration(server, EMAIL), registration(server, MSISDN)
    nonsense = await email.submit(await email.begin(), email='"><script>')
    number = await phone.submit(await phone.begin(), phone="12")
    made_up = await email.submit(await email.begin(), sid="x", client_secret="y", address="<b>")

    assert [nonsense.status, number.status, made_up.status] == [400, 400, 403]
    assert all(tag not in {"script", "b"} for page in (nonsense, made_up) for tag, _ in page.elements)
    assert "no e-mail address" in nonsense.text


async def test_an_address_is_not_flooded_from_pages(server):
    stage = registration(server, EMAIL)
    page = await stage.begin()
    statuses = [(await stage.submit(page, email=ADDRESS)).status for _ in range(6)]

    assert statuses == [200] * 5 + [429]


async def test_where_nothing_can_be_sent_there_is_no_page(rooms_server):
    stage = registration(rooms_server, EMAIL)

    assert (await stage.begin()).status == 404
