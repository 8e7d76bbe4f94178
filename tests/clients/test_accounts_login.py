import pytest

from tests.doubles.accounts import PASSWORD, AccountsServer

LOGIN = "/_matrix/client/v3/login"
WHOAMI = "/_matrix/client/v3/account/whoami"
WITH_PASSWORD = {"type": "m.login.password", "password": PASSWORD}


@pytest.fixture
async def server(database):
    server = AccountsServer(database, lifetime_ms=60_000)
    yield server
    await server.close()


async def test_the_flows_are_told(server):
    flows = [{"type": "m.login.password"}, {"type": "m.login.token", "get_login_token": True}]

    assert await server.call("GET", LOGIN) == (200, {"flows": flows})


@pytest.mark.parametrize("user", ["alice", "Alice", "@alice:localhost"])
async def test_a_user_logs_in_by_name_or_user_id(server, user):
    await server.register("alice")
    status, answer = await server.login(user, device_id="PHONE", initial_device_display_name="Phone")

    assert status == 200
    assert answer["user_id"] == "@alice:localhost"
    assert answer["device_id"] == "PHONE"
    assert "expires_in_ms" not in answer  # this client did not ask for a token to refresh it with
    assert answer["well_known"] == {"m.homeserver": {"base_url": "http://127.0.0.1:8008"}}


async def test_the_legacy_form_still_works(server):
    await server.register("alice")
    body = {"type": "m.login.password", "user": "alice", "password": PASSWORD}
    status, _ = await server.call("POST", LOGIN, body)

    assert status == 200


@pytest.mark.parametrize(
    ("body", "status", "errcode"),
    [
        ({}, 400, "M_BAD_JSON"),
        ({"type": "m.login.token", "token": "x"}, 403, "M_FORBIDDEN"),
        ({"type": "m.login.token"}, 400, "M_MISSING_PARAM"),
        ({"type": "m.login.none"}, 400, "M_UNKNOWN"),
        ({"type": "m.login.password", "user": "alice"}, 400, "M_MISSING_PARAM"),
        (WITH_PASSWORD, 400, "M_MISSING_PARAM"),
        ({"type": "m.login.password", "user": "alice", "password": "wrong"}, 403, "M_FORBIDDEN"),
        ({**WITH_PASSWORD, "user": "nobody"}, 403, "M_FORBIDDEN"),
        ({**WITH_PASSWORD, "user": "nul\0"}, 403, "M_FORBIDDEN"),
        ({**WITH_PASSWORD, "user": "@alice:elsewhere"}, 403, "M_FORBIDDEN"),
        ({**WITH_PASSWORD, "identifier": {"type": "m.id.other"}}, 400, "M_UNKNOWN"),
        ({**WITH_PASSWORD, "identifier": {"type": "m.id.user"}}, 400, "M_MISSING_PARAM"),
    ],
)
async def test_a_bad_login_gets_the_error_of_the_specification(server, body, status, errcode):
    await server.register("alice")
    got_status, answer = await server.call("POST", LOGIN, body)

    assert (got_status, answer["errcode"]) == (status, errcode)


async def test_guessing_at_a_password_is_slowed_down(server):
    await server.register("alice")
    for _ in range(10):
        assert (await server.login("alice", password="guess"))[0] == 403
    status, answer = await server.login("alice")
    server.clock.advance(answer["retry_after_ms"])
    later_status, _ = await server.login("alice")

    assert (status, answer["errcode"]) == (429, "M_LIMIT_EXCEEDED")
    assert later_status == 200


async def test_a_new_login_on_a_device_ends_the_old_one(server):
    await server.register("alice")
    _, first = await server.login("alice", device_id="PHONE", initial_device_display_name="Phone")
    assert (await server.call("GET", WHOAMI, token=first["access_token"]))[0] == 200
    _, second = await server.login("alice", device_id="PHONE", initial_device_display_name="Other name")

    status, answer = await server.call("GET", WHOAMI, token=first["access_token"])
    assert (status, answer["errcode"]) == (401, "M_UNKNOWN_TOKEN")
    _, device = await server.call("GET", "/_matrix/client/v3/devices/PHONE", token=second["access_token"])
    assert (device["device_id"], device["display_name"]) == ("PHONE", "Phone")


async def test_logout_ends_the_session_at_once_and_forgets_the_device(server):
    token = (await server.register("alice"))["access_token"]
    other = (await server.login("alice"))[1]["access_token"]
    assert (await server.call("GET", WHOAMI, token=token))[0] == 200
    assert await server.call("POST", "/_matrix/client/v3/logout", token=token) == (200, {})

    status, answer = await server.call("GET", WHOAMI, token=token)
    assert (status, answer["errcode"]) == (401, "M_UNKNOWN_TOKEN")
    assert not answer.get("soft_logout")
    _, devices = await server.call("GET", "/_matrix/client/v3/devices", token=other)
    assert len(devices["devices"]) == 1


async def test_logout_all_ends_every_session(server):
    first = (await server.register("alice"))["access_token"]
    second = (await server.login("alice"))[1]["access_token"]
    assert (await server.call("GET", WHOAMI, token=second))[0] == 200
    assert await server.call("POST", "/_matrix/client/v3/logout/all", token=first) == (200, {})

    assert (await server.call("GET", WHOAMI, token=first))[0] == 401
    assert (await server.call("GET", WHOAMI, token=second))[0] == 401


async def test_an_expired_token_is_a_soft_logout_and_can_be_refreshed(server):
    answer = await server.register("alice", refresh_token=True)
    assert (await server.call("GET", WHOAMI, token=answer["access_token"]))[0] == 200
    server.clock.advance(60_000)
    status, refused = await server.call("GET", WHOAMI, token=answer["access_token"])
    assert (status, refused["errcode"], refused["soft_logout"]) == (401, "M_UNKNOWN_TOKEN", True)

    body = {"refresh_token": answer["refresh_token"]}
    status, refreshed = await server.call("POST", "/_matrix/client/v3/refresh", body)
    assert status == 200
    assert set(refreshed) == {"access_token", "refresh_token", "expires_in_ms"}
    status, whoami = await server.call("GET", WHOAMI, token=refreshed["access_token"])
    assert (status, whoami["device_id"]) == (200, answer["device_id"])


async def test_a_refresh_token_nobody_issued_is_refused(server):
    status, answer = await server.call("POST", "/_matrix/client/v3/refresh", {"refresh_token": "isr_x"})
    assert (status, answer["errcode"]) == (401, "M_UNKNOWN_TOKEN")
    assert (await server.call("POST", "/_matrix/client/v3/refresh", {}))[0] == 400


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "\u00e9", "x" * 5000])
async def test_a_token_that_is_none_is_refused(server, token):
    status, answer = await server.call("GET", WHOAMI, token=token)
    assert (status, answer["errcode"]) == (401, "M_UNKNOWN_TOKEN")


async def test_no_token_is_told_apart(server):
    status, answer = await server.call("GET", WHOAMI)
    assert (status, answer["errcode"]) == (401, "M_MISSING_TOKEN")
