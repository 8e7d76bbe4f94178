import asyncio
import hashlib
import hmac

import pytest

from clients.endpoints.admin_register import AdminRegisterBody, mac_of
from tests.doubles.accounts import PASSWORD, SHARED_SECRET, AccountsServer

REGISTER = "/_matrix/client/v3/register"
ADMIN_REGISTER = "/_synapse/admin/v1/register"


@pytest.fixture
async def server(database):
    server = AccountsServer(database)
    yield server
    await server.close()


@pytest.fixture
async def token_server(database):
    server = AccountsServer(database, mode="token")
    yield server
    await server.close()


async def test_an_empty_request_is_told_the_flows_and_a_session(server):
    status, answer = await server.call("POST", REGISTER, {})

    assert status == 401
    assert answer["flows"] == [{"stages": ["m.login.dummy"]}]
    assert answer["session"]
    assert "errcode" not in answer


async def test_a_user_registers_in_two_steps(server):
    body = {"username": "Alice", "password": PASSWORD, "initial_device_display_name": "Phone"}
    _, asked = await server.call("POST", REGISTER, body)
    body["auth"] = {"type": "m.login.dummy", "session": asked["session"]}
    status, answer = await server.call("POST", REGISTER, body)

    assert status == 200
    assert answer["user_id"] == "@alice:localhost"
    assert "refresh_token" not in answer
    whoami = await server.call("GET", "/_matrix/client/v3/account/whoami", token=answer["access_token"])
    assert whoami == (
        200,
        {"user_id": "@alice:localhost", "device_id": answer["device_id"], "is_guest": False},
    )
    assert await server.profiles.profile_of("@alice:localhost") == {"displayname": "Alice"}


async def test_registration_can_leave_the_login_for_later(server):
    answer = await server.register("alice", inhibit_login=True)

    assert answer == {"user_id": "@alice:localhost", "home_server": "localhost"}


async def test_a_name_is_made_up_where_none_is_given(server):
    body = {"password": PASSWORD, "auth": {"type": "m.login.dummy"}}
    status, answer = await server.call("POST", REGISTER, body)

    assert status == 200
    assert answer["user_id"].endswith(":localhost")


@pytest.mark.parametrize(
    ("username", "errcode"),
    [
        ("alice", "M_USER_IN_USE"),
        ("ALICE", "M_USER_IN_USE"),
        ("white space", "M_INVALID_USERNAME"),
        ("nul\0", "M_INVALID_USERNAME"),
        ("_bridge", "M_INVALID_USERNAME"),
        ("", "M_INVALID_USERNAME"),
        ("a" * 250, "M_INVALID_USERNAME"),
    ],
)
async def test_a_name_that_cannot_be_had_is_refused_before_any_stage(server, username, errcode):
    await server.register("alice")
    status, answer = await server.call("POST", REGISTER, {"username": username, "password": PASSWORD})

    assert (status, answer["errcode"]) == (400, errcode)


@pytest.mark.parametrize(
    ("changes", "status", "errcode"),
    [
        ({"password": "short"}, 400, "M_WEAK_PASSWORD"),
        ({"password": "x" * 600}, 400, "M_WEAK_PASSWORD"),
        ({"password": None}, 400, "M_MISSING_PARAM"),
        ({"password": 7}, 400, "M_BAD_JSON"),
        ({"device_id": ""}, 400, "M_INVALID_PARAM"),
        ({"device_id": "nul\0"}, 400, "M_INVALID_PARAM"),
        ({"initial_device_display_name": "x" * 1000}, 400, "M_INVALID_PARAM"),
        ({"auth": {"type": "m.login.unheard_of"}}, 401, "M_UNRECOGNIZED"),
        ({"auth": {"type": ["m.login.dummy"]}}, 401, "M_UNRECOGNIZED"),
    ],
)
async def test_a_bad_registration_gets_the_error_of_the_specification(server, changes, status, errcode):
    body = {"username": "bob", "password": PASSWORD, "auth": {"type": "m.login.dummy"}, **changes}
    got_status, answer = await server.call("POST", REGISTER, body)

    assert (got_status, answer["errcode"]) == (status, errcode)


async def test_other_kinds_of_accounts_are_refused(server):
    status, answer = await server.call("POST", REGISTER + "?kind=ghost", {})
    assert (status, answer["errcode"]) == (400, "M_INVALID_PARAM")


async def test_availability_is_told(server):
    await server.register("alice")

    available = await server.call("GET", REGISTER + "/available?username=bob")
    status, taken = await server.call("GET", REGISTER + "/available?username=Alice")
    missing_status, missing = await server.call("GET", REGISTER + "/available")

    assert available == (200, {"available": True})
    assert (status, taken["errcode"]) == (400, "M_USER_IN_USE")
    assert (missing_status, missing["errcode"]) == (400, "M_MISSING_PARAM")


async def test_of_two_who_want_a_name_at_once_one_gets_it(server):
    body = {"username": "alice", "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
    answers = await asyncio.gather(*(server.call("POST", REGISTER, body) for _ in range(4)))

    assert sorted(status for status, _ in answers) == [200, 400, 400, 400]
    assert {answer.get("errcode") for _, answer in answers} == {None, "M_USER_IN_USE"}


async def test_a_closed_server_refuses(database):
    server = AccountsServer(database, mode="closed")
    status, answer = await server.call("POST", REGISTER, {})
    assert (status, answer["errcode"]) == (403, "M_FORBIDDEN")
    await server.close()


async def test_a_registration_token_lets_as_many_in_as_it_says(token_server):
    token = await token_server.registration.create_token(uses_max=1)
    auth = {"type": "m.login.registration_token", "token": token}

    body = {"username": "alice", "password": PASSWORD, "auth": auth}
    first_status, _ = await token_server.call("POST", REGISTER, body)
    second_status, second = await token_server.call("POST", REGISTER, {**body, "username": "bob"})

    assert first_status == 200
    assert (second_status, second["errcode"]) == (401, "M_FORBIDDEN")
    assert second["completed"] == []
    assert second["session"]


async def test_a_server_that_wants_tokens_takes_no_dummy(token_server):
    body = {"username": "alice", "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
    status, answer = await token_server.call("POST", REGISTER, body)

    assert (status, answer["errcode"]) == (401, "M_UNRECOGNIZED")
    assert answer["flows"] == [{"stages": ["m.login.registration_token"]}]


async def test_the_validity_of_a_registration_token_is_told(token_server):
    path = "/_matrix/client/v1/register/m.login.registration_token/validity?token="
    expires_ms = token_server.clock.now_ms() + 1000
    await token_server.registration.create_token("welcome", expires_ms=expires_ms)

    assert await token_server.call("GET", path + "welcome") == (200, {"valid": True})
    token_server.clock.advance(1000)
    assert await token_server.call("GET", path + "welcome") == (200, {"valid": False})
    assert await token_server.call("GET", path + "unknown") == (200, {"valid": False})


async def test_a_session_is_forgotten_after_a_while(server):
    body = {"username": "alice", "password": PASSWORD}
    _, first = await server.call("POST", REGISTER, body)
    server.clock.advance(16 * 60 * 1000)
    _, second = await server.call("POST", REGISTER, {**body, "auth": {"session": first["session"]}})
    _, third = await server.call("POST", REGISTER, {**body, "auth": {"session": second["session"]}})

    assert second["session"] != first["session"]
    assert third["session"] == second["session"]


@pytest.mark.parametrize(
    ("is_admin", "user_type", "mac"),
    [
        (False, None, "ee801c5d148ae1bcbd99ddb68ecbfa1cbb98c541"),
        (True, None, "038b37d5639e432cc2e7fb5c25d14e416c33602d"),
        (False, "bot", "6b1506343dc69cdc2fe0066f56b53181d4a8d819"),
    ],
)
def test_the_mac_is_the_one_that_scripts_compute(is_admin, user_type, mac):
    body = AdminRegisterBody("abc123", "alice", "wonderland", "", admin=is_admin, user_type=user_type)
    assert mac_of("s3cret", body) == mac


def signed(nonce, username="Operator", kind="admin", secret=SHARED_SECRET):
    message = f"{nonce}\0{username}\0{PASSWORD}\0{kind}".encode()
    mac = hmac.new(secret.encode(), message, hashlib.sha1).hexdigest()
    return {
        "nonce": nonce,
        "username": username,
        "password": PASSWORD,
        "admin": kind == "admin",
        "mac": mac,
    }


async def test_whoever_knows_the_secret_makes_an_administrator(database):
    server = AccountsServer(database, mode="closed")
    _, answer = await server.call("GET", ADMIN_REGISTER)
    status, made = await server.call("POST", ADMIN_REGISTER, signed(answer["nonce"]))

    assert status == 200
    assert made["user_id"] == "@operator:localhost"
    assert (await server.access_tokens.authenticate(made["access_token"])).is_admin
    await server.close()


async def test_a_nonce_is_good_once_and_for_a_minute(server):
    nonce = (await server.call("GET", ADMIN_REGISTER))[1]["nonce"]
    status, answer = await server.call("POST", ADMIN_REGISTER, signed(nonce, secret="guessed"))
    assert (status, answer["errcode"], answer["error"]) == (403, "M_UNKNOWN", "HMAC incorrect")

    again_status, again = await server.call("POST", ADMIN_REGISTER, signed(nonce))
    assert (again_status, again["errcode"]) == (400, "M_UNKNOWN")

    nonce = (await server.call("GET", ADMIN_REGISTER))[1]["nonce"]
    server.clock.advance(60_000)
    late_status, late = await server.call("POST", ADMIN_REGISTER, signed(nonce))
    assert (late_status, late["errcode"]) == (400, "M_UNKNOWN")


async def test_a_taken_name_is_told_to_scripts(server):
    await server.register("operator")
    nonce = (await server.call("GET", ADMIN_REGISTER))[1]["nonce"]
    status, answer = await server.call("POST", ADMIN_REGISTER, signed(nonce))
    assert (status, answer["errcode"]) == (400, "M_USER_IN_USE")


async def test_without_a_secret_nobody_registers_with_one(database):
    server = AccountsServer(database, shared_secret=None)
    assert (await server.call("GET", ADMIN_REGISTER))[0] == 400
    assert (await server.call("POST", ADMIN_REGISTER, signed("abc")))[0] == 400
    await server.close()
