"""Users who log in at another region than their own."""

import pytest

from federation.client.logins import LOGIN_PATH, RegionLogins
from federation.server.region_logins import RegionLogin, RegionLoginEndpoints
from homeserver.core.errors import Forbidden, RemoteRefused, Unavailable
from homeserver.http.endpoint import endpoints_of
from homeserver.http.request import Request
from tests.doubles.federation_client import ScriptedFederationClient

HOME = "eu.example"
ANSWER = {
    "user_id": "@alice:eu.example", "access_token": "token", "device_id": "DEVICE", "home_server": HOME,
    "expires_in_ms": 5, "refresh_token": "again", "well_known": {"m.homeserver": {"base_url": "https://eu"}},
}  # fmt: skip


class Regions:
    def is_region(self, name):
        return name == HOME


@pytest.fixture
def client():
    return ScriptedFederationClient()


@pytest.fixture
def logins(client):
    return RegionLogins(client=client, regions=Regions())


@pytest.mark.parametrize(
    ("user", "home"),
    [("@alice:eu.example", HOME), ("@alice:other.example", None), ("alice", None), ("", None), ("@:", None)],
)
def test_users_of_regions_are_known_by_their_full_ids(logins, user, home):
    assert logins.home_of(user) == home


async def test_a_login_is_handed_on(logins, client):
    client.answer(HOME, LOGIN_PATH, {**ANSWER, "more": 1})

    assert await logins.log_in(HOME, {"password": "x"}) == ANSWER
    assert (client.asked[0].method, client.asked[0].content) == ("POST", {"password": "x"})


@pytest.mark.parametrize(
    "answer",
    [
        [], {}, {**ANSWER, "access_token": 1}, {**ANSWER, "user_id": "@alice:us.example"},
        {**ANSWER, "well_known": None}, {**ANSWER, "well_known": {"m.homeserver": {}}}, Unavailable("Gone."),
    ],
)  # fmt: skip
async def test_what_is_no_session_there_is_none(logins, client, answer):
    client.answer(HOME, LOGIN_PATH, answer)
    with pytest.raises(Unavailable):
        await logins.log_in(HOME, {})


async def test_a_wrong_password_is_told_as_one(logins, client):
    client.answer(HOME, LOGIN_PATH, RemoteRefused(403, "M_FORBIDDEN", "Wrong."))
    with pytest.raises(RemoteRefused) as raised:
        await logins.log_in(HOME, {})

    assert raised.value.body()["errcode"] == "M_FORBIDDEN"


class Issued:
    def body(self):
        return {"access_token": "token", "device_id": "DEVICE"}


class Logins:
    """Knows one password."""

    def check_device(self, device_id, display_name):
        pass

    async def user_with_password(self, user, password):
        if (user, password) != ("@bob:us.example", "right"):
            raise Forbidden("Wrong.")
        return user

    async def open_session(self, user_id, **session):
        self.session = session
        return Issued()


@pytest.fixture
def log_in():
    owner = RegionLoginEndpoints(
        logins=Logins(), regions=Regions(), server_name="us.example", base_url="https://us"
    )
    (endpoint,) = endpoints_of(owner)

    async def ask(origin, password="right"):
        body = RegionLogin({"type": "m.id.user", "user": "@bob:us.example"}, password)
        return await endpoint.respond(Request("POST", LOGIN_PATH, {}, {}, body=body, origin=origin))

    return ask


async def test_a_region_lets_a_user_of_ours_in(log_in):
    response = await log_in(HOME)

    assert response.status == 200
    assert b'"https://us"' in response.body
    assert b'"@bob:us.example"' in response.body


@pytest.mark.parametrize(("origin", "password"), [(HOME, "wrong"), ("other.example", "right")])
async def test_nobody_else_gets_in(log_in, origin, password):
    with pytest.raises(Forbidden):
        await log_in(origin, password)
