from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest

from homeserver.app.build_addresses import build_addresses
from homeserver.config.accounts import MailSection, PhoneSection, RegistrationSection
from homeserver.http.dispatch import RawRequest
from tests.doubles.mailbox import Mailbox, TextMessages
from tests.doubles.rooms import PASSWORD, V3, User

pytestmark = pytest.mark.scenario

ADDRESS = "alice@example.org"
NEW_PASSWORD = "another long one"


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
    )
    await rooms_server.restart()
    return rooms_server


async def page(server, method, path, body=b""):
    return await server.dispatcher.respond(RawRequest(method, path.encode(), {}, body, "127.0.0.1"))


async def follow(server, link):
    """Open a link as a browser does, and confirm on its page."""
    shown = await page(server, "GET", link)
    assert shown.status == 200
    query = urlsplit(link).query
    assert all(value.encode() in shown.body for _, value in parse_qsl(query))
    return await page(server, "POST", urlsplit(link).path, query.encode())


async def ask(server, what, *, token=None, email=ADDRESS, **fields):
    body = {"client_secret": "s3cret", "email": email, "send_attempt": 1, **fields}
    return await server.call("POST", f"{V3}/{what}/email/requestToken", body, token=token)


def creds(sid, secret="s3cret"):
    return {"type": "m.login.email.identity", "threepid_creds": {"sid": sid, "client_secret": secret}}


def password_of(user):
    identifier = {"type": "m.id.user", "user": user.user_id}
    return {"type": "m.login.password", "identifier": identifier, "password": PASSWORD}


async def add_address(server, mailbox, user, email=ADDRESS):
    _, asked = await ask(server, "account/3pid", token=user.token, email=email)
    assert (await follow(server, await mailbox.next_link())).status == 200
    body = {"sid": asked["sid"], "client_secret": "s3cret", "auth": password_of(user)}
    return await user.try_("POST", "/account/3pid/add", body)


async def log_in(server, identifier, password=PASSWORD):
    body = {"type": "m.login.password", "identifier": identifier, "password": password}
    return await server.call("POST", f"{V3}/login", body)


async def test_an_address_is_added_used_to_log_in_and_taken_away(server, mailbox, alice):
    assert await add_address(server, mailbox, alice) == (200, {})
    listed = (await alice.get("/account/3pid"))["threepids"]
    by_address = {"type": "m.id.thirdparty", "medium": "email", "address": "Alice@Example.org"}
    right, wrong = await log_in(server, by_address), await log_in(server, by_address, "wrong")
    gone = await alice.ask("POST", "/account/3pid/delete", {"medium": "email", "address": ADDRESS})
    after = await log_in(server, by_address)

    assert [(one["medium"], one["address"]) for one in listed] == [("email", ADDRESS)]
    assert (right[0], right[1]["user_id"]) == (200, alice.user_id)
    assert (wrong[0], after[0]) == (403, 403)
    assert wrong[1]["error"] == after[1]["error"]
    assert gone == {"id_server_unbind_result": "no-support"}
    assert (await alice.get("/account/3pid"))["threepids"] == []
    assert (await alice.get("/capabilities"))["capabilities"]["m.3pid_changes"] == {"enabled": True}


async def test_an_operation_is_confirmed_with_the_address_as_the_name(server, mailbox, alice):
    await add_address(server, mailbox, alice)
    auth = {
        "type": "m.login.password", "password": PASSWORD,
        "identifier": {"type": "m.id.thirdparty", "medium": "email", "address": ADDRESS},
    }  # fmt: skip

    await alice.ask("POST", "/delete_devices", {"devices": ["X"], "auth": auth})


async def test_nothing_is_added_before_the_link_is_followed(server, mailbox, alice):
    _, asked = await ask(server, "account/3pid", token=alice.token)
    link = await mailbox.next_link()
    await page(server, "GET", link)  # as programs do that look for harmful links
    body = {"sid": asked["sid"], "client_secret": "s3cret", "auth": password_of(alice)}

    assert await alice.try_("POST", "/account/3pid/add", body) == (403, "M_THREEPID_AUTH_FAILED")


async def test_an_address_belongs_to_one_account(server, mailbox, alice, bob):
    await add_address(server, mailbox, alice)
    status, asked = await ask(server, "account/3pid", token=bob.token, client_secret="other")
    refused = (await mailbox.next()).get_content()

    assert (status, list(asked)) == (200, ["sid"])
    assert "Another account has it" in refused
    assert "http" not in refused


async def test_a_lost_password_is_replaced_by_email(server, mailbox, alice):
    await add_address(server, mailbox, alice)
    _, asked = await ask(server, "account/password", client_secret="lost")
    body = {"new_password": NEW_PASSWORD, "auth": creds(asked["sid"], "lost")}
    early = await server.call("POST", f"{V3}/account/password", body)
    await follow(server, await mailbox.next_link())
    done = await server.call("POST", f"{V3}/account/password", body)
    again = await server.call("POST", f"{V3}/account/password", body)

    assert (early[0], early[1]["flows"][0]) == (401, {"stages": ["m.login.email.identity"]})
    assert done == (200, {})
    assert again[0] == 401
    assert (await log_in(server, {"type": "m.id.user", "user": "alice"}, NEW_PASSWORD))[0] == 200
    assert (await alice.try_("GET", "/account/whoami"))[1] == "M_UNKNOWN_TOKEN"


async def test_a_validation_is_good_for_its_purpose_only(server, mailbox, alice):
    await add_address(server, mailbox, alice)
    new = {"client_secret": "x", "email": "new@example.org"}
    _, asked = await ask(server, "account/3pid", token=alice.token, **new)
    await follow(server, await mailbox.next_link())
    body = {"new_password": NEW_PASSWORD, "auth": creds(asked["sid"], "x")}
    status, answer = await server.call("POST", f"{V3}/account/password", body)

    assert (status, answer["errcode"]) == (401, "M_THREEPID_AUTH_FAILED")


async def test_nobody_learns_who_has_an_account(server, mailbox, alice):
    await add_address(server, mailbox, alice)
    known = await ask(server, "account/password", client_secret="a")
    unknown = await ask(server, "account/password", client_secret="b", email="nobody@example.org")
    to_known, to_unknown = await mailbox.next(), await mailbox.next()
    if to_known["To"] != ADDRESS:
        to_known, to_unknown = to_unknown, to_known

    assert (known[0], list(known[1])) == (unknown[0], list(unknown[1])) == (200, ["sid"])
    assert "http" in to_known.get_content()
    assert "No account" in to_unknown.get_content()


async def test_an_account_is_made_with_an_address(server, mailbox):
    server.configuration = replace(
        server.configuration, registration=RegistrationSection(mode="open", requires_email=True)
    )
    await server.restart()
    body = {"username": "carol", "password": PASSWORD}
    _, flows = await server.call("POST", f"{V3}/register", body)
    _, asked = await ask(server, "register", next_link="https://app.example.org/done")
    sent_on = await follow(server, await mailbox.next_link())
    auth = {**creds(asked["sid"]), "session": flows["session"]}
    status, answer = await server.call("POST", f"{V3}/register", {**body, "auth": auth})

    assert flows["flows"] == [{"stages": ["m.login.email.identity"]}]
    assert (sent_on.status, sent_on.headers["Location"]) == (303, "https://app.example.org/done")
    assert status == 200, answer
    carol = User(server, answer)
    assert [one["address"] for one in (await carol.get("/account/3pid"))["threepids"]] == [ADDRESS]


async def test_a_code_is_sent_to_a_phone(server, alice):
    body = {"client_secret": "s", "country": "GB", "phone_number": "020 7946 0018", "send_attempt": 1}
    _, asked = await server.call("POST", f"{V3}/account/3pid/msisdn/requestToken", body)
    ((number, text),) = TextMessages.sent
    code = {"sid": asked["sid"], "client_secret": "s", "token": text[:6]}
    path = urlsplit(asked["submit_url"]).path
    wrong = await server.call("POST", path, {**code, "token": "x"})
    right = await server.call("POST", path, code)
    body = {"sid": asked["sid"], "client_secret": "s", "auth": password_of(alice)}
    added = await alice.try_("POST", "/account/3pid/add", body)
    by_phone = {"type": "m.id.phone", "country": "GB", "phone": "020 7946 0018"}

    assert number == "442079460018"
    assert (wrong[0], wrong[1]["errcode"]) == (400, "M_TOKEN_INCORRECT")
    assert right == (200, {"success": True})
    assert added == (200, {})
    assert (await log_in(server, by_phone))[1]["user_id"] == alice.user_id


async def test_a_code_cannot_be_guessed_for_long(server):
    body = {"client_secret": "s", "country": "GB", "phone_number": "020 7946 0018", "send_attempt": 1}
    _, asked = await server.call("POST", f"{V3}/account/3pid/msisdn/requestToken", body)
    ((_, text),) = TextMessages.sent
    path = urlsplit(asked["submit_url"]).path
    code = {"sid": asked["sid"], "client_secret": "s"}
    for _ in range(10):
        await server.call("POST", path, {**code, "token": "guess"})

    status, answer = await server.call("POST", path, {**code, "token": text[:6]})
    assert (status, answer["errcode"]) == (400, "M_SESSION_EXPIRED")


async def test_the_same_attempt_sends_once_and_a_later_one_again(server, mailbox):
    first, same = await ask(server, "register"), await ask(server, "register")
    again = await ask(server, "register", send_attempt=2)
    first_link, second_link = await mailbox.next_link(), await mailbox.next_link()

    assert first == same == again
    assert first_link != second_link
    assert mailbox.messages == []
    assert (await follow(server, first_link)).status == 400
    assert (await follow(server, second_link)).status == 200


async def test_no_address_is_flooded(server):
    answers = [await ask(server, "register", client_secret=f"s{number}") for number in range(6)]

    assert [status for status, _ in answers] == [200] * 5 + [429]


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": "nonsense"}, {"client_secret": ""}, {"client_secret": "ä"}, {"send_attempt": -1},
        {"send_attempt": 2**60}, {"next_link": "javascript:alert(1)"}, {"next_link": "https://a\r\nb"},
    ],
)  # fmt: skip
async def test_what_cannot_be_is_refused(server, wrong):
    status, answer = await ask(server, "register", **wrong)

    assert (status, answer["errcode"]) == (400, "M_INVALID_PARAM")


async def test_a_server_without_mail_says_so(rooms_server, alice):
    status, answer = await ask(rooms_server, "register")

    assert (status, answer["errcode"]) == (403, "M_THREEPID_DENIED")
    status, answer = await ask(rooms_server, "account/3pid", token=alice.token)
    assert (status, answer["errcode"]) == (400, "M_THREEPID_MEDIUM_NOT_SUPPORTED")
    body = {"new_password": NEW_PASSWORD}
    status, answer = await rooms_server.call("POST", f"{V3}/account/password", body)
    assert (status, answer["errcode"]) == (401, "M_MISSING_TOKEN")


async def test_a_sender_that_is_not_there_is_told_at_the_start(rooms_server):
    configuration = replace(rooms_server.configuration, phone=PhoneSection(sender="nowhere:make"))

    with pytest.raises(ValueError, match=r"phone\.sender"):
        build_addresses(configuration, None, rooms_server.storage, None, rooms_server.stack)
