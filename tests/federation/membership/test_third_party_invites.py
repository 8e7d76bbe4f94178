"""Third-party invitations across servers: exchanged, and redeemed as an identity server says."""

from urllib.parse import quote

import pytest

from homeserver.core.signing import SigningKey, sign_json

EXCHANGE, ON_BIND = "/_matrix/federation/v1/exchange_third_party_invite", "/_matrix/federation/v1/3pid/onbind"
IDENTITY = SigningKey.generate(bytes([7] * 32), "0")


def signed(user_id, token="abc", key=IDENTITY, **other):
    return sign_json({"mxid": user_id, "token": token, **other}, "id.example", key)


@pytest.fixture
async def room(tess):
    """Make a room there that an address is invited to."""
    room_id = await tess.create(preset="private_chat")
    content = {
        "display_name": "h...", "key_validity_url": "https://id.example/valid",
        "public_key": IDENTITY.public_key_base64,
        "public_keys": [{"public_key": IDENTITY.public_key_base64}],
    }  # fmt: skip
    await tess.ask("PUT", f"/rooms/{quote(room_id)}/state/m.room.third_party_invite/abc", content)
    return room_id


def exchange_of(room, sender, user_id, proof):
    third_party_invite = {"display_name": "h...", "signed": proof}
    return {
        "type": "m.room.member", "room_id": room, "sender": sender, "state_key": user_id,
        "content": {"membership": "invite", "third_party_invite": third_party_invite},
    }  # fmt: skip


async def invited(user):
    return list((await user.get("/sync")).get("rooms", {}).get("invite", {}))


async def on_bind(server, user_id, *invites):
    body = {"medium": "email", "address": "hal@mail.example", "mxid": user_id, "invites": list(invites)}
    return await server.call("PUT", ON_BIND, body)


async def test_an_invitation_is_exchanged(here, there, hal, tess, room):
    body = exchange_of(room, tess.user_id, hal.user_id, signed(hal.user_id))

    assert await here.asks(there, "PUT", f"{EXCHANGE}/{quote(room)}", body) == {}
    assert await invited(hal) == [room]
    own = await tess.get(f"/rooms/{quote(room)}/state/m.room.member/{quote(hal.user_id)}")
    assert own["third_party_invite"]["signed"]["token"] == "abc"
    assert (await hal.try_act(room, "join"))[0] == 200


async def test_what_proves_nothing_is_not_exchanged(here, there, hal, tess, room):
    other = SigningKey.generate(bytes(32), "0")
    path = f"{EXCHANGE}/{quote(room)}"
    good = exchange_of(room, tess.user_id, hal.user_id, signed(hal.user_id))
    for body, answer in (
        (exchange_of(room, tess.user_id, hal.user_id, signed(hal.user_id, key=other)), 403),
        (exchange_of(room, tess.user_id, hal.user_id, signed(hal.user_id, "none")), 403),
        (exchange_of(room, tess.user_id, "@x:there.example", signed("@x:there.example")), 403),
        (exchange_of(room, tess.user_id, hal.user_id, signed("@ida:here.example")), 403),
        (exchange_of(room, "@uma:there.example", hal.user_id, signed(hal.user_id)), 403),
        (exchange_of("!other:there.example", tess.user_id, hal.user_id, signed(hal.user_id)), 400),
        (good | {"type": "m.room.name"}, 400),
        (good | {"content": {"membership": "invite"}}, 400),
        (good | {"content": {"membership": "join", "third_party_invite": {"signed": {}}}}, 400),
    ):
        assert (await here.asks(there, "PUT", path, body))[0] == answer, body
    assert await invited(hal) == []


async def test_an_address_that_becomes_a_users_brings_them_their_invitations(here, hal, tess, room):
    invite = {"room_id": room, "sender": tess.user_id, "mxid": hal.user_id, "signed": signed(hal.user_id)}
    other = {**invite, "room_id": "!gone:gone.example", "sender": "@x:gone.example"}

    assert await on_bind(here, hal.user_id, other, invite) == (200, {})
    assert await invited(hal) == [room]


async def test_an_identity_server_speaks_of_users_of_ours_only(here, hal, tess, room):
    invite = {"room_id": room, "sender": tess.user_id, "mxid": hal.user_id, "signed": signed(hal.user_id)}

    assert (await on_bind(here, tess.user_id, invite))[0] == 403
    assert (await on_bind(here, hal.user_id, invite | {"mxid": tess.user_id})) == (200, {})
    assert await invited(hal) == []


async def test_an_invitation_into_a_room_that_is_here_is_redeemed_here(here, hal, tess, room):
    await tess.act(room, "invite", user_id=hal.user_id)
    await hal.act(room, "join")
    ida = await here.user("ida")
    invite = {"room_id": room, "sender": tess.user_id, "mxid": ida.user_id, "signed": signed(ida.user_id)}

    assert await on_bind(here, ida.user_id, invite) == (200, {})
    assert await invited(ida) == [room]


async def test_a_client_shows_the_proof_as_it_joins(hal, tess, room):
    proof = signed(hal.user_id, sender=tess.user_id)
    path = f"/join/{quote(room)}?via=there.example"

    assert (await hal.try_("POST", path, {"third_party_signed": proof}))[0] == 200
