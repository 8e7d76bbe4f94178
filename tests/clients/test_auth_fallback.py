import re

import pytest

from homeserver.accounts.recaptcha import Recaptcha
from homeserver.accounts.registration import NewAccount
from homeserver.accounts.terms import Terms
from homeserver.config.accounts import Policy
from tests.doubles.accounts import PASSWORD, AccountsServer

REGISTER = "/_matrix/client/v3/register"
TERMS = Terms([
    Policy("tos", "1.2", "en", "Terms <of> service", "https://example.org/terms?a=1&b=2"),
    Policy("tos", "1.2", "de", "Nutzungsbedingungen", "https://example.org/de"),
])  # fmt: skip


class Riddles:
    """An `OutgoingRequests` that knows one right answer."""

    def __init__(self):
        self.asked = []
        self.answer = (200, b'{"success": false}')

    async def post(self, url, body, headers):
        self.asked.append((url, body, headers["Content-Type"]))
        return self.answer


@pytest.fixture
def riddles():
    return Riddles()


@pytest.fixture
async def server(database, riddles):
    recaptcha = Recaptcha(
        outgoing=riddles,
        public_key="site",
        private_key="hidden",
        verify_url="https://riddles.example.org/verify",
        script_url="https://riddles.example.org/api.js",
    )
    server = AccountsServer(
        database, mode="token", optional_stages={"terms": TERMS, "recaptcha": recaptcha}
    )
    await server.registration.create_token("welcome")
    yield server
    await server.close()


def fallback(stage, session=None):
    path = f"/_matrix/client/v3/auth/{stage}/fallback/web"
    return path if session is None else f"{path}?session={session}"


async def begin(server, **body):
    status, answer = await server.call(
        "POST", REGISTER, {"username": "alice", "password": PASSWORD, **body}
    )
    assert status == 401
    return answer


async def fill_in(server, stage, session, **fields):
    form = "&".join(f"{name}={value}" for name, value in {"session": session, **fields}.items())
    return await server.respond("POST", fallback(stage), form.encode())


async def test_registration_tells_the_flow_and_what_each_stage_needs(server):
    answer = await begin(server)

    assert answer["flows"] == [
        {"stages": ["m.login.registration_token", "m.login.recaptcha", "m.login.terms"]}
    ]
    assert answer["params"]["m.login.recaptcha"] == {"public_key": "site"}
    assert answer["params"]["m.login.terms"]["policies"]["tos"]["de"] == {
        "name": "Nutzungsbedingungen",
        "url": "https://example.org/de",
    }


async def test_an_account_is_made_with_every_stage_passed_in_a_browser(server, riddles):
    session = (await begin(server))["session"]
    riddles.answer = (200, b'{"success": true}')

    token = await fill_in(server, "m.login.registration_token", session, token="welcome")
    riddle = await fill_in(server, "m.login.recaptcha", session, **{"g-recaptcha-response": "r"})
    half_way = await begin(server, auth={"session": session})
    terms = await fill_in(server, "m.login.terms", session, accept="yes")
    body = {"username": "alice", "password": PASSWORD, "auth": {"session": session}}
    status, answer = await server.call("POST", REGISTER, body)

    assert [token.status, riddle.status, terms.status] == [200, 200, 200]
    assert b"window.onAuthDone" in terms.body
    assert half_way["completed"] == ["m.login.registration_token", "m.login.recaptcha"]
    assert (status, answer["user_id"]) == (200, "@alice:localhost")
    assert riddles.asked == [
        (
            "https://riddles.example.org/verify",
            b"secret=hidden&response=r",
            "application/x-www-form-urlencoded",
        )
    ]
    assert server.account_data.contents["@alice:localhost", "m.accepted_terms"] == {
        "accepted": ["https://example.org/terms?a=1&b=2", "https://example.org/de"]
    }


async def test_a_session_cannot_be_turned_to_another_name(server):
    session = (await begin(server))["session"]
    await fill_in(server, "m.login.registration_token", session, token="welcome")

    other = await begin(server, username="mallory", auth={"session": session})

    assert other["session"] != session
    assert other["completed"] == []


async def test_a_wrong_entry_shows_the_page_again(server):
    session = (await begin(server))["session"]

    token = await fill_in(server, "m.login.registration_token", session, token="wrong")
    riddle = await fill_in(server, "m.login.recaptcha", session, **{"g-recaptcha-response": "r"})
    terms = await fill_in(server, "m.login.terms", session)

    assert [token.status, riddle.status, terms.status] == [403, 403, 403]
    assert b"unknown, used up or expired" in token.body
    assert (await begin(server, auth={"session": session}))["completed"] == []


async def test_a_service_that_does_not_answer_well_is_no_verdict(server, riddles):
    session = (await begin(server))["session"]
    riddles.answer = (502, b"bad gateway")

    riddle = await fill_in(server, "m.login.recaptcha", session, **{"g-recaptcha-response": "r"})

    assert riddle.status == 503


async def test_pages_show_what_is_wanted_and_load_nothing_else(server):
    session = (await begin(server))["session"]
    terms = await server.respond("GET", fallback("m.login.terms", session))
    token = await server.respond("GET", fallback("m.login.registration_token", session))
    riddle = await server.respond("GET", fallback("m.login.recaptcha", session))

    assert b"Terms &lt;of&gt; service" in terms.body
    assert b"https://example.org/terms?a=1&amp;b=2" in terms.body
    for page in (terms, token):
        assert page.content_type == "text/html; charset=utf-8"
        assert b"<script" not in page.body
        assert not re.search(rb"(?:src|@import|url\()\s*=?", page.body)
        assert "script-src" not in page.headers["Content-Security-Policy"]
    assert b'data-sitekey="site"' in riddle.body
    assert b'src="https://riddles.example.org/api.js"' in riddle.body


@pytest.mark.parametrize("session", ["unknown", "nul%00", "%22%3E%3Cscript%3E", ""])
async def test_a_session_that_is_none_gets_a_page_that_says_so(server, session):
    answer = await server.respond("GET", fallback("m.login.terms", session))

    assert answer.status in {400, 404}
    assert b"<script>" not in answer.body


async def test_a_stage_that_is_not_of_the_session_is_refused(server):
    session = (await begin(server))["session"]

    assert (await server.respond("GET", fallback("m.login.password", session))).status == 404
    assert (await fill_in(server, "m.login.dummy", session)).status == 404


async def test_a_user_confirms_an_operation_in_a_browser(server):
    await server.registration.create_token("again")
    alice = await make_account(server)
    path = f"/_matrix/client/v3/devices/{alice['device_id']}"
    _, asked = await server.call("DELETE", path, {}, token=alice["access_token"])
    page = await server.respond("GET", fallback("m.login.password", asked["session"]))
    wrong = await fill_in(server, "m.login.password", asked["session"], password="wrong")
    right = await fill_in(server, "m.login.password", asked["session"], password=PASSWORD)
    body = {"auth": {"session": asked["session"]}}
    status, _ = await server.call("DELETE", path, body, token=alice["access_token"])

    assert b"@alice:localhost" in page.body
    assert (wrong.status, right.status, status) == (403, 200, 200)


async def test_a_session_is_good_for_the_devices_only_that_it_was_begun_for(server):
    alice = await make_account(server)
    path = "/_matrix/client/v3/delete_devices"
    body = {"devices": ["OLD"]}
    _, asked = await server.call("POST", path, body, token=alice["access_token"])
    await fill_in(server, "m.login.password", asked["session"], password=PASSWORD)
    body = {"devices": [alice["device_id"]], "auth": {"session": asked["session"]}}
    status, other = await server.call("POST", path, body, token=alice["access_token"])

    assert status == 401
    assert other["session"] != asked["session"]


async def make_account(server):
    user_id = await server.registration.create(NewAccount("alice", PASSWORD))
    _, answer = await server.login(user_id)
    return answer


