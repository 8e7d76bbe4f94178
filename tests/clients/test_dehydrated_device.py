"""Dehydrated devices through the whole server: one a user, with keys from the start, and never emptied."""

from urllib.parse import quote

import pytest

from tests.clients.test_to_device import login, send
from tests.factory.crypto_user import Device

PREFIX = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"
DEVICE_ID = "ab/cd+ef"


def made(user, device_id=DEVICE_ID, **changed):
    keys = Device(user.user_id, device_id).keys(dehydrated=True)
    return {
        "device_id": device_id, "device_data": {"algorithm": "org.matrix.msc3814.v2", "pickle": "ü"},
        "initial_device_display_name": "Dehydrated", "device_keys": keys,
        "one_time_keys": {"signed_curve25519:AAAA": {"key": "k", "signatures": {}}},
        "fallback_keys": {"signed_curve25519:AAAB": {"key": "f", "fallback": True, "signatures": {}}},
        **changed,
    }  # fmt: skip


async def call(user, method, body=None, path=""):
    """Ask; returns the status, and the errcode or the whole body."""
    status, answer = await user.server.call(method, PREFIX + path, body, token=user.token)
    return status, answer.get("errcode", answer)


async def events(user, device_id=DEVICE_ID, query=""):
    return await call(user, "GET", path=f"/{quote(device_id, safe='')}/events{query}")


def numbers(answer):
    return [each["content"]["n"] for each in answer["events"]]


async def rows(server, table):
    (count,) = await server.database.fetch_one(f"SELECT count(*) FROM {table}")
    return count


async def test_it_is_made_shown_and_deleted(rooms_server, alice, bob):
    assert await call(alice, "GET") == (404, "M_NOT_FOUND")
    assert await call(alice, "DELETE") == (404, "M_NOT_FOUND")
    assert await call(alice, "PUT", made(alice)) == (200, {"device_id": DEVICE_ID})
    await rooms_server.restart()

    shown = {"device_id": DEVICE_ID, "device_data": made(alice)["device_data"]}
    assert await call(alice, "GET") == (200, shown)
    assert await call(bob, "GET") == (404, "M_NOT_FOUND")
    device = await alice.get(f"/devices/{quote(DEVICE_ID, safe='')}")
    assert device["display_name"] == "Dehydrated"
    assert await call(alice, "DELETE") == (200, {"device_id": DEVICE_ID})
    assert await call(alice, "GET") == (404, "M_NOT_FOUND")
    assert len((await alice.get("/devices"))["devices"]) == 1
    for table in ("device_keys", "one_time_keys", "fallback_keys", "dehydrated_devices"):
        assert await rows(rooms_server, table) == 0


async def test_another_one_takes_its_place_with_all_that_belonged_to_it(rooms_server, alice, bob):
    await call(alice, "PUT", made(alice))
    await send(bob, {alice.user_id: {DEVICE_ID: {"n": 1}}})
    for device_id in (DEVICE_ID, "other"):
        changed = made(alice, device_id, one_time_keys=None, fallback_keys={})
        assert await call(alice, "PUT", changed) == (200, {"device_id": device_id})
        assert await events(alice, device_id) == (200, {"events": []})
        for table, count in (("dehydrated_devices", 1), ("device_keys", 1), ("one_time_keys", 0)):
            assert await rows(rooms_server, table) == count
    assert await events(alice) == (403, "M_FORBIDDEN")
    assert len((await alice.get("/devices"))["devices"]) == 2


async def test_messages_wait_for_it_and_are_read_as_often_as_it_takes(rooms_server, alice, bob):
    await call(alice, "PUT", made(alice))
    for number in range(5):
        await send(bob, {alice.user_id: {"*": {"n": number}}})
    for _ in range(2):
        status, first = await events(alice, query="?limit=3")
        assert (status, numbers(first)) == (200, [0, 1, 2])
        status, rest = await events(alice, query=f"?limit=3&from={first['next_batch']}")
        assert (status, numbers(rest)) == (200, [3, 4])
        assert "next_batch" not in rest
        await rooms_server.restart()

    path = f"/{quote(DEVICE_ID, safe='')}/events?limit=3"
    found, body = [], {}
    while True:
        status, answer = await call(alice, "POST", body, path=path)
        assert status == 200
        if not answer["events"]:
            break
        found += numbers(answer)
        body = {"next_batch": answer["next_batch"]}
    assert found == list(range(5))


async def test_only_its_user_reads_what_waits_for_it(alice, bob):
    assert await events(alice) == (403, "M_FORBIDDEN")
    await call(alice, "PUT", made(alice))
    assert await events(bob) == (403, "M_FORBIDDEN")
    assert await events(alice, "other") == (403, "M_FORBIDDEN")
    for place in ("x", "-1", "9" * 19, "9" * 30, "%C2%B2"):
        assert await events(alice, query=f"?from={place}") == (400, "M_INVALID_PARAM")
    path = f"/{quote(DEVICE_ID, safe='')}/events"
    assert await call(alice, "POST", {"next_batch": 1}, path=path) == (400, "M_INVALID_PARAM")


async def test_it_stays_when_its_user_logs_out_everywhere(alice):
    await call(alice, "PUT", made(alice))
    await alice.ask("POST", "/logout/all")
    again = await login(alice, "NEW")

    assert (await call(again, "GET"))[0] == 200
    assert {each["device_id"] for each in (await again.get("/devices"))["devices"]} == {"NEW", DEVICE_ID}


async def test_it_goes_with_its_account(rooms_server, alice):
    await call(alice, "PUT", made(alice))
    await alice.ask("POST", "/room_keys/version", {"algorithm": "m.test", "auth_data": {}})
    await rooms_server.services.account_care.deactivation.deactivate(alice.user_id)

    for table in ("dehydrated_devices", "device_keys", "devices"):
        assert await rows(rooms_server, table) == 0
    await rooms_server.services.encryption.key_backups.forget()
    assert await rows(rooms_server, "key_backups") == 0


async def test_others_are_told_that_the_devices_changed(alice, bob):
    room_id = await alice.create(preset="public_chat")
    await bob.act(room_id, "join")
    for method, body in (("PUT", made(alice)), ("PUT", made(alice, "other")), ("DELETE", None)):
        since = (await bob.get("/sync"))["next_batch"]
        assert (await call(alice, method, body))[0] == 200
        answer = await bob.get(f"/sync?since={since}")
        assert answer["device_lists"]["changed"] == [alice.user_id]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"device_id": None}, (400, "M_MISSING_PARAM")),
        ({"device_id": 1}, (400, "M_BAD_JSON")),
        ({"device_id": ""}, (400, "M_INVALID_PARAM")),
        ({"device_data": None}, (400, "M_BAD_JSON")),
        ({"device_data": {}}, (400, "M_BAD_JSON")),
        ({"device_data": {"algorithm": 1}}, (400, "M_BAD_JSON")),
        ({"device_data": {"algorithm": "x" * 70_000}}, (413, "M_TOO_LARGE")),
        ({"device_keys": None}, (400, "M_BAD_JSON")),
        ({"device_keys": {}}, (400, "M_INVALID_PARAM")),
        ({"one_time_keys": []}, (400, "M_BAD_JSON")),
        ({"one_time_keys": {"a": 1}}, (400, "M_INVALID_PARAM")),
        ({"fallback_keys": {"a:1": "x", "a:2": "y"}}, (400, "M_INVALID_PARAM")),
        ({"initial_device_display_name": 1}, (400, "M_BAD_JSON")),
        ({"initial_device_display_name": "\0"}, (400, "M_INVALID_PARAM")),
    ],
)
async def test_what_cannot_be_made(rooms_server, alice, changed, expected):
    assert await call(alice, "PUT", made(alice, **changed)) == expected
    assert await rows(rooms_server, "dehydrated_devices") == 0
    assert len((await alice.get("/devices"))["devices"]) == 1


async def test_a_device_in_use_does_not_become_one(alice):
    phone = await login(alice, "PHONE")
    assert await call(alice, "PUT", made(alice, "PHONE")) == (400, "M_INVALID_PARAM")
    await call(alice, "PUT", made(alice))
    assert await call(alice, "PUT", made(alice, "PHONE")) == (400, "M_INVALID_PARAM")
    assert (await call(phone, "GET"))[1]["device_id"] == DEVICE_ID
