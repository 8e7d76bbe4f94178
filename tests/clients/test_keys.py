"""Device, one-time and fallback keys: uploaded, asked for, claimed."""

import asyncio

import pytest

from tests.factory.crypto_user import Device

NOBODY = "@nobody:localhost"


async def device_of(user):
    """The device that a user is logged in with, with keys."""
    return Device(user.user_id, (await user.get("/account/whoami"))["device_id"])


async def upload(user, device, *names, **more):
    body = {"device_keys": device.keys(), "one_time_keys": device.one_time_keys(*names), **more}
    return await user.ask("POST", "/keys/upload", body)


async def query(user, *user_ids):
    return await user.ask("POST", "/keys/query", {"device_keys": {user_id: [] for user_id in user_ids}})


async def claim(user, device, algorithm="signed_curve25519"):
    asked = {device.user_id: {device.device_id: algorithm}}
    answer = await user.ask("POST", "/keys/claim", {"one_time_keys": asked})
    assert answer["failures"] == {}
    return answer["one_time_keys"].get(device.user_id, {}).get(device.device_id)


async def test_keys_that_were_uploaded_are_told_with_the_name_of_the_device(alice, bob):
    device = await device_of(alice)

    assert await upload(alice, device, "A", "B") == {"one_time_key_counts": {"signed_curve25519": 2}}
    await alice.ask("PUT", f"/devices/{device.device_id}", {"display_name": "Phone"})

    told = await query(bob, alice.user_id, NOBODY)
    assert told == {
        "device_keys": {
            alice.user_id: {
                device.device_id: {**device.keys(), "unsigned": {"device_display_name": "Phone"}}
            },
            NOBODY: {},
        },
        "failures": {}, "master_keys": {}, "self_signing_keys": {}, "user_signing_keys": {},
    }  # fmt: skip


async def test_only_the_devices_that_are_named_are_told(alice, bob):
    device = await device_of(alice)
    await upload(alice, device)

    for named, found in ([device.device_id, "OTHER"], [device.device_id]), (["OTHER"], []):
        told = await bob.ask("POST", "/keys/query", {"device_keys": {alice.user_id: named}})
        assert list(told["device_keys"][alice.user_id]) == found


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"user_id": "@bob:localhost"}, "M_INVALID_PARAM"),
        ({"device_id": "OTHER"}, "M_INVALID_PARAM"),
        ({"algorithms": "m.olm"}, "M_BAD_JSON"),
        ({"keys": {"ed25519:A": 1}}, "M_BAD_JSON"),
        ({"algorithms": ["other"]}, "M_INVALID_SIGNATURE"),
    ],
)
async def test_device_keys_of_the_wrong_form_are_refused_with_all_that_came_with_them(alice, wrong, error):
    device = await device_of(alice)
    body = {"device_keys": {**device.keys(), **wrong}, "one_time_keys": device.one_time_keys("A")}

    assert await alice.try_("POST", "/keys/upload", body) == (400, error)
    assert (await query(alice, alice.user_id))["device_keys"][alice.user_id] == {}
    assert await claim(alice, device) is None


async def test_the_same_key_again_is_no_matter_and_another_of_its_name_is_refused(alice):
    device = await device_of(alice)
    await upload(alice, device, "A")
    assert (await upload(alice, device, "A", "B"))["one_time_key_counts"] == {"signed_curve25519": 2}

    other = {"one_time_keys": {**device.one_time_keys("C"), "signed_curve25519:A": device.sign({"key": "x"})}}

    assert await alice.try_("POST", "/keys/upload", other) == (400, "M_INVALID_PARAM")
    counts = (await alice.ask("POST", "/keys/upload", {}))["one_time_key_counts"]
    assert counts == {"signed_curve25519": 2}


async def test_keys_are_handed_out_once_each_in_the_order_of_their_upload(alice, bob):
    device = await device_of(alice)
    await upload(alice, device, "Z")
    await upload(alice, device, "A")

    assert await claim(bob, device) == device.one_time_keys("Z")
    assert await claim(bob, device) == device.one_time_keys("A")
    assert await claim(bob, device) is None
    assert await claim(bob, device, "curve25519") is None


async def test_a_fallback_key_is_handed_out_again_and_again_and_is_used_then(alice, bob):
    device = await device_of(alice)
    fallback = device.one_time_keys("F", fallback=True)
    await upload(alice, device, "A", fallback_keys=fallback)
    since = await alice.get("/sync")
    assert since["device_unused_fallback_key_types"] == ["signed_curve25519"]
    assert since["device_one_time_keys_count"] == {"signed_curve25519": 1}

    assert await claim(bob, device) == device.one_time_keys("A")
    assert (await alice.get("/sync"))["device_unused_fallback_key_types"] == ["signed_curve25519"]
    assert await claim(bob, device) == fallback
    assert await claim(bob, device) == fallback
    told = await alice.get(f"/sync?since={since['next_batch']}")
    assert told["device_unused_fallback_key_types"] == []
    assert told["device_one_time_keys_count"] == {"signed_curve25519": 0}

    await upload(alice, device, fallback_keys=fallback)
    assert (await alice.get("/sync"))["device_unused_fallback_key_types"] == [], "it is the same, and used"
    await upload(alice, device, fallback_keys=device.one_time_keys("G", fallback=True))
    assert (await alice.get("/sync"))["device_unused_fallback_key_types"] == ["signed_curve25519"]


async def test_a_claim_wakes_the_device_that_lost_a_key(alice, bob):
    device = await device_of(alice)
    await upload(alice, device, "A", "B")
    since = (await alice.get("/sync"))["next_batch"]
    poll = asyncio.ensure_future(alice.get(f"/sync?since={since}&timeout=60000"))
    await asyncio.sleep(0)
    await claim(bob, device)

    assert (await asyncio.wait_for(poll, 10))["device_one_time_keys_count"] == {"signed_curve25519": 1}


async def test_a_device_keeps_only_so_many_keys(alice):
    device = await device_of(alice)
    many = {f"curve25519:{number}": "key" for number in range(1_000)}
    await alice.ask("POST", "/keys/upload", {"one_time_keys": many})

    more = {"one_time_keys": device.one_time_keys("A")}
    assert await alice.try_("POST", "/keys/upload", more) == (400, "M_INVALID_PARAM")
    assert await alice.ask("POST", "/keys/upload", {"one_time_keys": many})
    for wrong in ({"one_time_keys": {"nocolon": "x"}}, {"fallback_keys": {"a:b": "x", "a:c": "y"}}):
        assert await alice.try_("POST", "/keys/upload", wrong) == (400, "M_INVALID_PARAM")
    wrong = {"one_time_keys": {"signed_curve25519:A": {"key": "x"}}}
    assert await alice.try_("POST", "/keys/upload", wrong) == (400, "M_BAD_JSON")


async def test_users_of_servers_that_cannot_be_reached_are_failures_and_ours_are_told(alice):
    device = await device_of(alice)
    await upload(alice, device, "A")

    told = await query(alice, alice.user_id, "@bob:elsewhere.example")
    assert list(told["device_keys"]) == [alice.user_id]
    assert list(told["failures"]) == ["elsewhere.example"]
    asked = {alice.user_id: {device.device_id: "signed_curve25519"}, "@bob:elsewhere.example": {"B": "x"}}
    told = await alice.ask("POST", "/keys/claim", {"one_time_keys": asked})
    assert told["one_time_keys"] == {alice.user_id: {device.device_id: device.one_time_keys("A")}}
    assert list(told["failures"]) == ["elsewhere.example"]


@pytest.mark.parametrize("body", [{}, {"device_keys": []}, {"device_keys": {"nobody": []}}])
async def test_a_query_of_the_wrong_form_is_refused(alice, body):
    status, error = await alice.try_("POST", "/keys/query", body)
    assert (status, error) in ((400, "M_BAD_JSON"), (400, "M_INVALID_PARAM"))


async def test_a_deleted_device_takes_its_keys_with_it(rooms_server, alice, bob):
    device = await device_of(alice)
    await upload(alice, device, "A", fallback_keys=device.one_time_keys("F", fallback=True))
    await alice.ask("POST", "/logout", {})

    assert (await query(bob, alice.user_id))["device_keys"] == {alice.user_id: {}}
    assert await claim(bob, device) is None


async def test_where_rooms_must_be_shared_the_keys_of_others_are_not_told(rooms_server, alice, bob, carol):
    rooms_server.services.keys.device_keys._sharing._is_required = True
    for user in (alice, bob):
        await upload(user, await device_of(user), "A")
    room_id = await alice.create(preset="public_chat")
    await carol.act(room_id, "join")

    told = await query(carol, alice.user_id, bob.user_id, carol.user_id)
    assert list(told["device_keys"]) == [alice.user_id, carol.user_id]
    assert await claim(carol, await device_of(bob)) is None
    assert await claim(carol, await device_of(alice))
