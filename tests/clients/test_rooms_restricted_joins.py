import asyncio

import pytest

from homeserver.core.errors import Forbidden, UnableToAuthoriseJoin

FORBIDDEN = (403, "M_FORBIDDEN")
AUTHORISED = "join_authorised_via_users_server"
VERSIONS = ("8", "9", "10", "11", "12")


def rules(*room_ids, join_rule="restricted"):
    allow = [{"type": "m.room_membership", "room_id": room_id} for room_id in room_ids]
    return {"type": "m.room.join_rules", "content": {"join_rule": join_rule, "allow": allow}}


@pytest.fixture
async def space(alice):
    return await alice.create(preset="public_chat", creation_content={"type": "m.space"})


async def member(user, room, user_id):
    return await user.state(room, "m.room.member", user_id)


@pytest.mark.parametrize("version", VERSIONS)
async def test_members_of_the_allowed_room_join_on_somebodys_authority(alice, bob, carol, space, version):
    room = await alice.create(room_version=version, initial_state=[rules("!gone:localhost", space)])
    assert await bob.try_act(room, "join") == FORBIDDEN
    await bob.act(space, "join")
    await bob.act(room, "join", reason="From the space")

    joined = await member(alice, room, bob.user_id)
    assert joined == {
        "membership": "join", "displayname": "bob", "reason": "From the space", AUTHORISED: alice.user_id,
    }  # fmt: skip
    assert await carol.try_act(room, "join") == FORBIDDEN


@pytest.mark.parametrize("version", ["10", "12"])
async def test_a_restricted_room_that_lets_knock_lets_members_join(alice, bob, space, version):
    restricted = rules(space, join_rule="knock_restricted")
    room = await alice.create(room_version=version, initial_state=[restricted])
    await bob.act(space, "join")
    await bob.act(room, "join")

    assert (await member(alice, room, bob.user_id))[AUTHORISED] == alice.user_id


@pytest.mark.parametrize(("version", "join_rule"), [("7", "restricted"), ("9", "knock_restricted")])
async def test_older_versions_do_not_know_the_rule(alice, bob, space, version, join_rule):
    room = await alice.create(room_version=version, initial_state=[rules(space, join_rule=join_rule)])
    await bob.act(space, "join")

    assert await bob.try_act(room, "join") == FORBIDDEN


async def test_the_invited_need_nobody_to_vouch(alice, bob, space):
    room = await alice.create(initial_state=[rules(space)])
    await alice.act(room, "invite", user_id=bob.user_id)
    await bob.act(room, "join")

    assert AUTHORISED not in await member(alice, room, bob.user_id)


async def test_the_banned_stay_out(alice, bob, space):
    room = await alice.create(initial_state=[rules(space)])
    await bob.act(space, "join")
    await alice.act(room, "ban", user_id=bob.user_id)

    assert await bob.try_act(room, "join") == FORBIDDEN


async def test_to_have_been_in_the_allowed_room_is_not_enough(alice, bob, carol, space):
    room = await alice.create(initial_state=[rules(space)])
    await bob.act(space, "join")
    await bob.act(space, "leave")
    await alice.act(space, "invite", user_id=carol.user_id)

    assert await bob.try_act(room, "join") == FORBIDDEN
    assert await carol.try_act(room, "join") == FORBIDDEN


@pytest.mark.parametrize(
    "allow",
    [
        None,
        [],
        "nonsense",
        [None, {"type": "m.room_membership"}, {"room_id": 3, "type": "m.room_membership"}],
        [{"type": "org.example.other", "room_id": "SPACE"}],
    ],
)
async def test_conditions_that_are_none_let_nobody_in(alice, bob, space, allow):
    if isinstance(allow, list):
        allow = [{**one, "room_id": space} if one and one.get("room_id") == "SPACE" else one for one in allow]
    content = {"join_rule": "restricted"} | ({} if allow is None else {"allow": allow})
    room = await alice.create(initial_state=[{"type": "m.room.join_rules", "content": content}])
    await bob.act(space, "join")

    assert await bob.try_act(room, "join") == FORBIDDEN


async def test_it_takes_somebody_who_may_invite(alice, bob, space):
    """In a room of version 11 whose only member may not."""
    room = await alice.create(
        room_version="11", initial_state=[rules(space)], power_level_content_override={"invite": 101}
    )
    await bob.act(space, "join")

    assert await bob.try_act(room, "join") == (400, "M_UNABLE_TO_GRANT_JOIN")
    assert (await alice.get(f"/rooms/{room}/joined_members"))["joined"].keys() == {alice.user_id}


async def test_whoever_may_invite_by_default_vouches_when_the_others_are_gone(alice, bob, carol, space):
    levels = {"users": {alice.user_id: 100, "@nobody:localhost": 100, bob.user_id: -1}}
    room = await alice.create(
        room_version="11", initial_state=[rules(space)], power_level_content_override=levels
    )
    for user in (bob, carol):
        await user.act(space, "join")
        await user.act(room, "join")
    await alice.act(room, "leave")
    await alice.act(room, "join")

    assert (await member(alice, room, alice.user_id))[AUTHORISED] == carol.user_id


async def test_the_same_user_vouches_whoever_asks(rooms_server, alice, bob, carol, space):
    levels = {"users": {alice.user_id: 100, bob.user_id: 50}, "invite": 50}
    room = await alice.create(
        room_version="11", initial_state=[rules(space)], power_level_content_override=levels
    )
    others = [await rooms_server.user(f"user{number}") for number in range(3)]
    for user in (bob, carol, *others):
        await user.act(space, "join")
    await bob.act(room, "join")
    await asyncio.gather(*[user.act(room, "join") for user in (carol, *others)])

    vouched = [(await member(alice, room, user.user_id))[AUTHORISED] for user in (carol, *others)]
    assert vouched == [alice.user_id] * 4


async def test_joining_again_only_shows_a_new_name(alice, bob, space):
    room = await alice.create(initial_state=[rules(space)])
    await bob.act(space, "join")
    await bob.act(room, "join")
    before = (await alice.all_state(room))["m.room.member", bob.user_id]
    await bob.act(space, "leave")
    await bob.act(room, "join")
    assert (await alice.all_state(room))["m.room.member", bob.user_id]["event_id"] == before["event_id"]
    own = {"membership": "join", "displayname": "Sir Bob"}
    await bob.set_state(room, "m.room.member", own, bob.user_id)
    await bob.act(room, "join")

    assert await member(alice, room, bob.user_id) == {"membership": "join", "displayname": "bob"}


async def test_a_join_set_as_state_needs_somebody_to_vouch_too(alice, bob, carol, space):
    room = await alice.create(initial_state=[rules(space)])
    await bob.act(space, "join")
    joining = {"membership": "join", "displayname": "B", AUTHORISED: carol.user_id}
    await bob.set_state(room, "m.room.member", joining, bob.user_id)

    assert await member(alice, room, bob.user_id) == {**joining, AUTHORISED: alice.user_id}
    assert await carol.try_set_state(room, "m.room.member", joining, carol.user_id) == FORBIDDEN


async def test_of_users_of_other_servers_only_what_is_known_here_counts(rooms_server, alice, space):
    known = await alice.create(initial_state=[rules(space)])
    unknown = await alice.create(initial_state=[rules(space, "!elsewhere:example.org")])
    restricted_joins = rooms_server.services.rooms.entry.joining._restricted_joins

    with pytest.raises(Forbidden):
        await restricted_joins.admit(known, "@bob:example.org")
    with pytest.raises(UnableToAuthoriseJoin):
        await restricted_joins.admit(unknown, "@bob:example.org")


async def test_who_vouches_is_found_anew_when_the_room_changes_meanwhile(
    rooms_server, alice, bob, carol, space, monkeypatch
):
    levels = {"users": {alice.user_id: 100, carol.user_id: 50}, "invite": 50}
    room = await alice.create(
        room_version="11", initial_state=[rules(space)], power_level_content_override=levels
    )
    for user in (bob, carol):
        await user.act(space, "join")
    await carol.act(room, "join")
    restricted_joins = rooms_server.services.rooms.entry.joining._restricted_joins
    admit = restricted_joins.admit
    changes = [lambda: alice.act(room, "leave"), lambda: alice.act(space, "leave")]

    async def admit_and_change(room_id, user_id):
        admission = await admit(room_id, user_id)
        if user_id == bob.user_id:
            await changes.pop(0)()
        return admission

    monkeypatch.setattr(restricted_joins, "admit", admit_and_change)
    await bob.act(room, "join")

    assert changes == []
    assert (await member(bob, room, bob.user_id))[AUTHORISED] == carol.user_id


async def test_a_room_that_does_not_come_to_rest_is_to_be_joined_later(
    rooms_server, alice, bob, space, monkeypatch
):
    room = await alice.create(initial_state=[rules(space)])
    await bob.act(space, "join")
    restricted_joins = rooms_server.services.rooms.entry.joining._restricted_joins
    admit = restricted_joins.admit

    async def admit_and_change(room_id, user_id):
        admission = await admit(room_id, user_id)
        await alice.set_state(room, "m.room.join_rules", {**rules(space)["content"], "n": changed.pop()})
        return admission

    changed = [1, 2, 3]
    monkeypatch.setattr(restricted_joins, "admit", admit_and_change)

    assert await bob.try_act(room, "join") == (503, "M_UNKNOWN")
    assert ("m.room.member", bob.user_id) not in await alice.all_state(room)
