import pytest

from homeserver.core.signing import SigningKey, sign_json

FORBIDDEN = (403, "M_FORBIDDEN")
THIRD_PARTY_INVITE = "m.room.third_party_invite"
KEY, OTHER_KEY = SigningKey(b"1" * 32, "0"), SigningKey(b"2" * 32, "0")
TOKEN = "abc"
EMAIL = {"id_server": "id.example", "id_access_token": "t", "medium": "email", "address": "b@example.org"}
VERSIONS = ("1", "7", "11", "12")


def invitation(**more):
    url = "https://id.example/isvalid"
    return {"display_name": "b...", "key_validity_url": url, "public_key": KEY.public_key_base64, **more}


def signed(sender, user, *, token=TOKEN, key=KEY):
    proof = {"sender": sender.user_id, "mxid": user.user_id, "token": token}
    return sign_json(proof, "id.example", key)


async def invited(user, version="12", content=None):
    room = await user.create(room_version=version)
    await user.set_state(room, THIRD_PARTY_INVITE, content or invitation(), TOKEN)
    return room


@pytest.mark.parametrize("version", VERSIONS)
async def test_whoever_shows_the_signature_joins(alice, bob, version):
    room = await invited(alice, version)
    proof = signed(alice, bob)
    assert await bob.act(room, "join", third_party_signed=proof, reason="Mine") == {"room_id": room}

    assert await alice.membership(room, bob.user_id) == "join"
    chunk = (await alice.messages(room))["chunk"]
    (invite,) = [one for one in chunk if one["content"].get("membership") == "invite"]
    assert (invite["sender"], invite["state_key"]) == (alice.user_id, bob.user_id)
    assert invite["content"] == {
        "membership": "invite",
        "displayname": "bob",
        "third_party_invite": {"display_name": "b...", "signed": proof},
    }


async def test_any_key_of_the_invitation_will_do_and_the_room_may_be_named_by_alias(alice, bob):
    keys = [{"public_key": OTHER_KEY.public_key_base64}]
    room = await alice.create(room_alias_name="room")
    await alice.set_state(room, THIRD_PARTY_INVITE, invitation(public_keys=keys), TOKEN)
    proof = signed(alice, bob, key=OTHER_KEY)
    await bob.ask("POST", "/join/%23room:localhost", {"third_party_signed": {**proof, "unsigned": {"a": 1}}})

    assert await alice.membership(room, bob.user_id) == "join"


async def test_a_wrong_proof_lets_nobody_in(alice, bob, carol):
    room = await invited(alice)
    wrong = (
        signed(alice, bob, key=OTHER_KEY),
        signed(alice, bob, token="other"),
        signed(alice, carol),
        signed(carol, bob),
        {**signed(alice, bob), "extra": 1},
        {**signed(alice, bob), "signatures": {}},
    )
    for proof in wrong:
        assert await bob.try_act(room, "join", third_party_signed=proof) == FORBIDDEN

    assert ("m.room.member", bob.user_id) not in await alice.all_state(room)


@pytest.mark.parametrize(
    "change",
    [{"sender": None}, {"mxid": 3}, {"token": ["a"]}, {"signatures": None}, {"signatures": "text"}],
)
async def test_a_proof_that_lacks_something_is_refused(alice, bob, change):
    room = await invited(alice)
    proof = {**signed(alice, bob), **change}

    assert await bob.try_act(room, "join", third_party_signed=proof) == (400, "M_BAD_JSON")


async def test_a_revoked_invitation_lets_nobody_in(alice, bob):
    room = await invited(alice)
    await alice.set_state(room, THIRD_PARTY_INVITE, {}, TOKEN)

    assert await bob.try_act(room, "join", third_party_signed=signed(alice, bob)) == FORBIDDEN


async def test_the_banned_and_those_who_used_it_up_do_not_come_in_by_it(alice, bob, carol):
    room = await invited(alice)
    await alice.act(room, "ban", user_id=carol.user_id)
    assert await carol.try_act(room, "join", third_party_signed=signed(alice, carol)) == FORBIDDEN
    await bob.act(room, "join", third_party_signed=signed(alice, bob))
    await bob.act(room, "join", third_party_signed=signed(alice, bob))
    await alice.act(room, "kick", user_id=bob.user_id)

    assert await bob.try_act(room, "join", third_party_signed=signed(alice, bob)) == FORBIDDEN
    assert await bob.try_act("!none:localhost", "join", third_party_signed=signed(alice, bob)) == (
        404, "M_NOT_FOUND",
    )  # fmt: skip


async def test_it_takes_the_level_to_invite_to_make_one(alice, bob):
    room = await alice.create(preset="public_chat", power_level_content_override={"invite": 50})
    await bob.act(room, "join")

    assert await bob.try_set_state(room, THIRD_PARTY_INVITE, invitation(), TOKEN) == FORBIDDEN
    assert await bob.try_act(room, "invite", **EMAIL) == FORBIDDEN


async def test_addresses_cannot_be_looked_up(alice, bob):
    room = await alice.create()

    assert await alice.try_act(room, "invite", **EMAIL) == (400, "M_SERVER_NOT_TRUSTED")
    assert await bob.try_act(room, "invite", **EMAIL) == FORBIDDEN
    for name in EMAIL:
        less = {key: value for key, value in EMAIL.items() if key != name}
        assert await alice.try_act(room, "invite", **less) == (400, "M_MISSING_PARAM")
