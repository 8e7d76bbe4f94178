"""Cross-signing: keys are set once freely, replaced only with the password, and signatures seen by few."""

import asyncio

import pytest

from tests.clients.test_keys import device_of, query, upload
from tests.doubles.rooms import PASSWORD
from tests.factory.crypto_user import CrossSigner, Device

SET_UP = "/keys/device_signing/upload"
SIGN = "/keys/signatures/upload"


async def set_up(user):
    """Give a user cross-signing keys."""
    signer = CrossSigner(user.user_id)
    assert await user.ask("POST", SET_UP, signer.body()) == {}
    return signer


def password_of(user, session):
    identifier = {"type": "m.id.user", "user": user.user_id}
    return {
        "type": "m.login.password", "identifier": identifier, "password": PASSWORD, "session": session
    }  # fmt: skip


async def confirm(user, body):
    """Upload with the password."""
    status, answer = await user.try_("POST", SET_UP, body)
    assert status == 401, answer
    return await user.try_("POST", SET_UP, {**body, "auth": password_of(user, answer["session"])})


async def test_the_first_keys_need_no_password_nor_do_the_same_again(alice, bob):
    signer = await set_up(alice)
    body = signer.body()
    assert await alice.ask("POST", SET_UP, body) == {}
    assert await alice.ask("POST", SET_UP, {"master_key": body["master_key"]}) == {}

    told = await query(bob, alice.user_id)
    assert told["master_keys"] == {alice.user_id: body["master_key"]}
    assert told["self_signing_keys"] == {alice.user_id: body["self_signing_key"]}
    assert told["user_signing_keys"] == {}, "it would tell whom she has verified"
    assert (await query(alice, alice.user_id))["user_signing_keys"] == {
        alice.user_id: body["user_signing_key"]
    }


async def test_other_keys_need_the_password_and_what_the_old_ones_signed_is_gone(alice):
    device = await device_of(alice)
    await upload(alice, device)
    old = await set_up(alice)
    await sign(alice, alice, {device.device_id: old.self_signing.sign(device.keys())})
    new = CrossSigner(alice.user_id)
    body = {"master_key": new.body()["master_key"]}

    assert (await alice.try_("POST", SET_UP, body))[0] == 401
    assert (await query(alice, alice.user_id))["master_keys"] == {alice.user_id: old.body()["master_key"]}
    assert await confirm(alice, body) == (200, {})

    told = await query(alice, alice.user_id)
    assert told["master_keys"] == {alice.user_id: body["master_key"]}
    assert told["self_signing_keys"] == told["user_signing_keys"] == {}
    (found,) = told["device_keys"][alice.user_id].values()
    assert found["signatures"] == device.keys()["signatures"]


async def test_a_self_signing_key_may_stay_when_a_new_master_key_signs_it(alice):
    device = await device_of(alice)
    await upload(alice, device)
    signer = await set_up(alice)
    signed = signer.self_signing.sign(device.keys())
    await sign(alice, alice, {device.device_id: signed})
    signer.master = CrossSigner(alice.user_id).master

    assert await confirm(alice, signer.body()) == (200, {})

    told = await query(alice, alice.user_id)
    assert told["self_signing_keys"] == {alice.user_id: signer.body()["self_signing_key"]}
    assert told["device_keys"][alice.user_id][device.device_id]["signatures"] == signed["signatures"]


async def test_of_two_first_sets_at_the_same_time_one_is_refused(alice):
    bodies = [CrossSigner(alice.user_id).body() for _ in range(2)]
    answers = await asyncio.gather(*[alice.try_("POST", SET_UP, body) for body in bodies])

    assert sorted(status for status, _ in answers) in ([200, 403], [200, 401])
    won = bodies[0 if answers[0][0] == 200 else 1]
    assert (await query(alice, alice.user_id))["master_keys"] == {alice.user_id: won["master_key"]}


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        (lambda body, signer: body.pop("master_key"), 400, "M_MISSING_PARAM"),
        (lambda body, signer: body["master_key"].update(user_id="@x:localhost"), 400, "M_INVALID_PARAM"),
        (lambda body, signer: body["master_key"].update(usage=["self_signing"]), 400, "M_INVALID_PARAM"),
        (lambda body, signer: body["master_key"].update(keys={"ed25519:a": "b"}), 400, "M_INVALID_PARAM"),
        (lambda body, signer: body["master_key"].update(keys={}), 400, "M_INVALID_PARAM"),
        (lambda body, signer: body["master_key"].update(keys=1), 400, "M_BAD_JSON"),
        (lambda body, signer: body["master_key"].update(signatures=1), 400, "M_BAD_JSON"),
        (lambda body, signer: body["self_signing_key"].pop("signatures"), 400, "M_INVALID_SIGNATURE"),
        (
            lambda body, signer: body.update(
                user_signing_key=signer.self_signing.sign(signer.object("user_signing", signer.user_signing))
            ),
            400, "M_INVALID_SIGNATURE",
        ),
    ],
)  # fmt: skip
async def test_keys_that_are_not_right_are_refused(alice, change, status, error):
    signer = CrossSigner(alice.user_id)
    body = signer.body()
    change(body, signer)

    assert await alice.try_("POST", SET_UP, body) == (status, error)
    assert (await query(alice, alice.user_id))["master_keys"] == {}


async def test_a_public_key_is_never_the_id_of_a_device(rooms_server, alice):
    signer = CrossSigner(alice.user_id)
    login = {
        "type": "m.login.password", "identifier": {"type": "m.id.user", "user": "alice"},
        "password": PASSWORD, "device_id": signer.master.public,
    }  # fmt: skip
    _, other = await rooms_server.call("POST", "/_matrix/client/v3/login", login)
    assert await alice.try_("POST", SET_UP, signer.body()) == (403, "M_FORBIDDEN")

    alice.token = other["access_token"]
    await alice.ask("POST", "/logout", {})
    _, other = await rooms_server.call("POST", "/_matrix/client/v3/login", {**login, "device_id": "NEW"})
    alice.token = other["access_token"]
    await set_up_with(alice, signer)
    _, other = await rooms_server.call("POST", "/_matrix/client/v3/login", login)
    alice.token = other["access_token"]
    device = Device(alice.user_id, signer.master.public)
    assert await alice.try_("POST", "/keys/upload", {"device_keys": device.keys()}) == (403, "M_FORBIDDEN")


async def set_up_with(user, signer):
    assert await user.ask("POST", SET_UP, signer.body()) == {}


async def sign(user, owner, keys):
    """Upload signed keys; returns the failures of this owner."""
    answer = await user.ask("POST", SIGN, {owner.user_id: keys})
    assert answer["failures"].keys() <= {owner.user_id}
    return {target: one["errcode"] for target, one in answer["failures"].get(owner.user_id, {}).items()}


async def test_everybody_sees_who_signed_a_device_of_their_own(alice, bob):
    device = await device_of(alice)
    await upload(alice, device)
    signer = await set_up(alice)
    signed = signer.self_signing.sign(device.keys())
    master = device.sign(signer.body()["master_key"])

    assert await sign(alice, alice, {device.device_id: signed, signer.master.public: master}) == {}

    told = await query(bob, alice.user_id)
    assert told["device_keys"][alice.user_id][device.device_id]["signatures"] == signed["signatures"]
    assert told["master_keys"][alice.user_id]["signatures"] == master["signatures"]


async def test_only_who_verified_somebody_sees_that(alice, bob, carol):
    signers = {user: await set_up(user) for user in (alice, bob)}
    master = signers[bob].body()["master_key"]
    signed = signers[alice].user_signing.sign(master)

    assert await sign(alice, bob, {signers[bob].master.public: signed}) == {}

    assert (await query(alice, bob.user_id))["master_keys"] == {bob.user_id: signed}
    for other in (bob, carol):
        assert (await query(other, bob.user_id))["master_keys"][bob.user_id].get("signatures", {}) == {}


async def test_signatures_that_are_not_right_fail_each_for_itself(alice, bob):
    device, others = await device_of(alice), await device_of(bob)
    await upload(alice, device)
    await upload(bob, others)
    signers = {user: await set_up(user) for user in (alice, bob)}
    own, mine = signers[alice], signers[alice].self_signing
    forged = mine.sign(device.keys())
    forged["signatures"][alice.user_id][mine.key_id] = "A" * 86
    master = signers[bob].body()["master_key"]
    public = signers[bob].master.public

    for keys, errors in (
        ({device.device_id: forged}, {device.device_id: "M_INVALID_SIGNATURE"}),
        ({device.device_id: device.keys()}, {device.device_id: "M_INVALID_SIGNATURE"}),
        ({device.device_id: own.master.sign(device.keys())}, {device.device_id: "M_INVALID_SIGNATURE"}),
        ({device.device_id: mine.sign(device.keys(algorithms=[]))}, {device.device_id: "M_INVALID_PARAM"}),
        ({"NONE": mine.sign(device.keys())}, {"NONE": "M_NOT_FOUND"}),
        ({device.device_id: 1}, {device.device_id: "M_INVALID_PARAM"}),
    ):
        assert await sign(alice, alice, keys) == errors
    for keys, errors in (
        ({others.device_id: own.user_signing.sign(others.keys())}, {others.device_id: "M_NOT_FOUND"}),
        ({public: mine.sign(master)}, {public: "M_INVALID_SIGNATURE"}),
        ({public: own.user_signing.sign(master), "X": {}}, {"X": "M_NOT_FOUND"}),
    ):
        assert await sign(alice, bob, keys) == errors
    assert (await query(alice, bob.user_id))["master_keys"][bob.user_id]["signatures"]
    assert await alice.try_("POST", SIGN, {alice.user_id: []}) == (400, "M_BAD_JSON")
    assert await alice.try_("POST", SIGN, {"nobody": {}}) == (400, "M_INVALID_PARAM")
