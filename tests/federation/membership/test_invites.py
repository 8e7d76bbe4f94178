"""`invite`, as a server may send it that is not as it should be."""

from urllib.parse import quote

import pytest

from homeserver.core.event.builder import build_event
from homeserver.core.room_versions import rules_for
from homeserver.core.signing import SigningKey
from tests.doubles.federated_servers import until

V1, V2 = "/_matrix/federation/v1/invite", "/_matrix/federation/v2/invite"
OTHER_KEY = SigningKey.generate(bytes(32), "a_other")


def key_of(server):
    return server.services.rooms.registry.composer._signing_key


def made(server, version="12", *, key=None, **other):
    """Make an event of a room that the other server does not know."""
    return build_event(**{
        "rules": rules_for(version), "type": "m.room.member", "sender": f"@uma:{server.name}",
        "content": {"membership": "invite"}, "state_key": "@hal:here.example", "room_id": None,
        "prev_events": [], "auth_events": [], "depth": 5, "origin_server_ts": 1_790_000_000_000,
        "server_name": server.name, "signing_key": key or key_of(server), **other,
    })  # fmt: skip


def create_of(server, version="12", room_id=None, **other):
    content = {"room_version": version}
    return made(
        server, version, type="m.room.create", content=content, state_key="", room_id=room_id, **other
    )


async def send(asking, other, event, told=(), /, *, version="12", path=V2, **changes):
    body = {"room_version": version, "event": event.pdu, "invite_room_state": list(told), **changes}
    return await asking.asks(other, "PUT", f"{path}/{quote(event.room_id)}/{quote(event.event_id)}", body)


@pytest.fixture
async def create(there, hal):
    return create_of(there)


@pytest.fixture
async def event(there, create):
    return made(there, room_id=create.room_id)


async def invited(user):
    return list((await user.get("/sync")).get("rooms", {}).get("invite", {}))


async def test_the_invitation_comes_back_signed_by_both(here, there, hal, create, event):
    answer = await send(there, here, event, [create.pdu])

    signed = answer["event"]
    assert set(signed["signatures"]) == {"here.example", "there.example"}
    assert {k: v for k, v in signed.items() if k != "signatures"} == {
        k: v for k, v in event.pdu.items() if k != "signatures"
    }
    assert await invited(hal) == [event.room_id]


async def test_an_older_server_invites_in_its_own_way(here, there, hal):
    event = made(there, "1", room_id="!old:there.example")
    path = f"{V1}/{quote(event.room_id)}/{quote(event.event_id)}"
    name = {"type": "m.room.name", "state_key": "", "sender": event.sender, "content": {"name": "Old"}}
    status, answer = await there.asks(
        here, "PUT", path, {**event.pdu, "unsigned": {"invite_room_state": [name, {"type": 1}, "no"]}}
    )

    assert status == 200
    assert set(answer["event"]["signatures"]) == {"here.example", "there.example"}
    state = (await hal.get("/sync"))["rooms"]["invite"][event.room_id]["invite_state"]["events"]
    assert [one["type"] for one in state] == ["m.room.name", "m.room.member"]
    assert await there.asks(here, "PUT", path, {**event.pdu, "unsigned": 1}) == (400, "M_INVALID_PARAM")


async def test_a_version_that_is_not_known_here_is_refused(here, there, event, create):
    assert await send(there, here, event, [create.pdu], version="99") == (
        400, "M_INCOMPATIBLE_ROOM_VERSION",
    )  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        {"type": "m.room.name"},
        {"content": {"membership": "join"}},
        {"content": {}},
        {"sender": "@uma:elsewhere.example"},
        {"state_key": "@hal:elsewhere.example"},
        {"state_key": "hal"},
        {"state_key": None},
        {"key": OTHER_KEY},
    ],
)
async def test_what_is_no_invitation_of_ours_by_theirs_is_not_signed(here, there, hal, create, other):
    event = made(there, **{"room_id": create.room_id, **other})

    assert await send(there, here, event, [create.pdu]) == (400, "M_INVALID_PARAM")
    assert await invited(hal) == []


async def test_an_event_that_was_changed_is_not_signed(here, there, hal, create, event):
    changed = {**event.pdu, "content": {"membership": "invite", "reason": "other"}}

    assert await send(there, here, event, [create.pdu], event=changed) == (400, "M_INVALID_PARAM")
    other = {**event.pdu, "depth": 6}
    assert await send(there, here, event, [create.pdu], event=other) == (400, "M_INVALID_PARAM")
    assert (await send(there, here, event, [create.pdu], event=1))[0] == 400
    assert await send(there, here, event, [create.pdu], event={}) == (400, "M_INVALID_PARAM")


async def test_the_room_must_be_told_of_in_new_versions(here, there, hal, create, event):
    other = create_of(there, origin_server_ts=1)
    forged = create_of(there, key=OTHER_KEY)
    loose = {"type": "m.room.name", "state_key": "", "sender": event.sender, "content": {}}
    for told in ([], [other.pdu], [create.pdu, loose], [create.pdu, create.pdu], [create.pdu] * 101):
        assert await send(there, here, event, told) == (400, "M_INVALID_PARAM"), told
    for told in (None, {}, "x"):
        assert await send(there, here, event, invite_room_state=told) == (400, "M_INVALID_PARAM")
    unsigned = made(there, room_id=forged.room_id)
    assert await send(there, here, unsigned, [forged.pdu]) == (400, "M_INVALID_PARAM")
    assert await invited(hal) == []


async def test_of_older_versions_less_will_do(here, there, hal):
    event = made(there, "11", room_id="!r:there.example")

    assert "event" in await send(there, here, event, ["junk"], version="11")
    assert await invited(hal) == ["!r:there.example"]


@pytest.mark.parametrize("path", ["lock", "deactivate"])
async def test_who_is_locked_or_gone_is_not_invited(here, there, hal, create, event, path):
    column = {"lock": "is_locked = true", "deactivate": "deactivated_ms = 1"}[path]
    await here.database.execute(f"UPDATE accounts SET {column} WHERE user_id = %s", hal.user_id)

    assert await send(there, here, event, [create.pdu]) == (403, "M_FORBIDDEN")


async def test_the_access_control_list_of_a_room_that_is_here_keeps_a_server_out(here, there, hal, tess):
    room = await tess.create(preset="public_chat", room_version="11")
    await hal.try_("POST", f"/join/{quote(room)}?via=there.example", {})
    await here.user("ida")
    acl = {"allow": ["*"], "deny": ["there.example"]}
    await tess.ask("PUT", f"/rooms/{quote(room)}/state/m.room.power_levels/", {
        "users": {tess.user_id: 100, hal.user_id: 100}
    })  # fmt: skip

    async def may_say_so():
        return (await hal.try_("PUT", f"/rooms/{quote(room)}/state/m.room.server_acl/", acl))[0] == 200

    await until(may_say_so)
    event = made(there, "11", room_id=room, sender=tess.user_id, state_key="@ida:here.example")

    assert await send(there, here, event, version="11") == (403, "M_FORBIDDEN")


async def test_a_room_whose_version_somebody_lied_about_is_joined_all_the_same(here, there, hal, tess):
    room = await tess.create(preset="public_chat", room_version="10")
    lie = made(there, "11", room_id=room)
    await send(there, here, lie, version="11")
    assert await invited(hal) == [room]

    assert (await hal.try_("POST", f"/join/{quote(room)}?via=there.example", {}))[0] == 200
    status, _ = await hal.try_("GET", f"/rooms/{quote(room)}/joined_members")
    assert status == 200
