import pytest

from tests.doubles.accounts import PASSWORD, AccountsServer

DEVICES = "/_matrix/client/v3/devices"


@pytest.fixture
async def server(database):
    server = AccountsServer(database)
    yield server
    await server.close()


@pytest.fixture
async def token(server):
    return (await server.register("alice", device_id="FIRST"))["access_token"]


def auth(session, user="alice", password=PASSWORD):
    identifier = {"type": "m.id.user", "user": user}
    return {
        "auth": {
            "type": "m.login.password",
            "session": session,
            "identifier": identifier,
            "password": password,
        }
    }


async def test_devices_are_listed_and_named(server, token):
    await server.login("alice", device_id="SECOND", initial_device_display_name="Phone")
    assert await server.call("PUT", DEVICES + "/FIRST", {"display_name": "Desk"}, token=token) == (200, {})
    assert await server.call("PUT", DEVICES + "/FIRST", {}, token=token) == (200, {})

    _, answer = await server.call("GET", DEVICES, token=token)

    names = [(device["device_id"], device["display_name"]) for device in answer["devices"]]
    assert names == [("FIRST", "Desk"), ("SECOND", "Phone")]


@pytest.mark.parametrize("device_id", ["NONE", "%00", "%F0%9F%98%80"])
async def test_a_device_that_is_not_there_is_told(server, token, device_id):
    for method, body in (("GET", None), ("PUT", {"display_name": "x"}), ("PUT", {})):
        status, answer = await server.call(method, f"{DEVICES}/{device_id}", body, token=token)
        assert (status, answer["errcode"]) in {(404, "M_NOT_FOUND"), (400, "M_INVALID_PARAM")}


async def test_a_name_that_is_too_long_is_refused(server, token):
    status, answer = await server.call("PUT", DEVICES + "/FIRST", {"display_name": "x" * 300}, token=token)
    assert (status, answer["errcode"]) == (400, "M_INVALID_PARAM")


async def test_a_device_is_deleted_after_the_password_was_given(server, token):
    _, second = await server.login("alice", device_id="SECOND")
    status, asked = await server.call("DELETE", DEVICES + "/SECOND", token=token)
    assert (status, asked["flows"]) == (401, [{"stages": ["m.login.password"]}])

    wrong = auth(asked["session"], password="wrong password")
    status, answer = await server.call("DELETE", DEVICES + "/SECOND", wrong, token=token)
    assert (status, answer["errcode"], answer["session"]) == (401, "M_FORBIDDEN", asked["session"])

    assert await server.call("DELETE", DEVICES + "/SECOND", auth(asked["session"]), token=token) == (200, {})
    assert (await server.call("GET", DEVICES, token=second["access_token"]))[0] == 401
    _, left = await server.call("GET", DEVICES, token=token)
    assert [device["device_id"] for device in left["devices"]] == ["FIRST"]


async def test_nobody_deletes_devices_with_the_password_of_another_account(server, token):
    await server.register("mallory")
    status, answer = await server.call("DELETE", DEVICES + "/FIRST", auth(None, "mallory"), token=token)
    assert (status, answer["errcode"]) == (401, "M_FORBIDDEN")


async def test_several_devices_are_deleted_at_once(server, token):
    for device_id in ("SECOND", "THIRD"):
        await server.login("alice", device_id=device_id)
    body = {"devices": ["SECOND", "THIRD", "UNKNOWN", "nul\0"], **auth(None)}
    assert await server.call("POST", "/_matrix/client/v3/delete_devices", body, token=token) == (200, {})
    assert len((await server.call("GET", DEVICES, token=token))[1]["devices"]) == 1
