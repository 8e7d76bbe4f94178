from dataclasses import replace

import pytest

from homeserver.config.model import RateLimit, RateLimitsSection, SpamLimitsSection
from tests.doubles.rooms import RoomsServer

ONCE = RateLimit(0.001, 1)
WIDE = RateLimit(1_000.0, 1_000)
LIMITED = (429, "M_LIMIT_EXCEEDED")
FORBIDDEN = (403, "M_FORBIDDEN")


@pytest.fixture
async def users(database, tmp_path):
    """Start a server whose spam limits are tightened as a test says; make it three users."""
    servers = []

    async def start(**tight):
        server = RoomsServer(database, tmp_path)
        server.configuration = replace(
            server.configuration,
            rate_limits=RateLimitsSection(join=WIDE, invite=WIDE, room_creation=WIDE, registration=WIDE),
            spam_limits=SpamLimitsSection(**tight),
        )
        servers.append(await server.start())
        return [await server.user(name) for name in ("alice", "bob", "carol")]

    yield start
    for server in servers:
        await server.close()


async def test_invitations_are_limited_by_whatever_way_they_are_sent(users):
    alice, bob, carol = await users(invites_per_issuer=ONCE)
    room = await alice.create()
    await alice.act(room, "invite", user_id=bob.user_id)
    status, answer = await alice.server.call(
        "POST", f"/_matrix/client/v3/rooms/{room}/invite", {"user_id": carol.user_id}, token=alice.token
    )
    assert (status, answer["errcode"]) == LIMITED
    assert answer["retry_after_ms"] > 900_000

    invite = {"membership": "invite"}
    assert await alice.try_set_state(room, "m.room.member", invite, carol.user_id) == LIMITED
    assert await alice.try_("POST", "/createRoom", {"invite": [carol.user_id]}) == LIMITED
    await alice.act(room, "invite", user_id=bob.user_id)  # is invited already: nothing to count


async def test_those_who_may_not_invite_do_not_use_up_what_the_room_may(users):
    alice, bob, carol = await users(invites_per_room=ONCE)
    room = await alice.create()
    for _ in range(3):
        assert await bob.try_act(room, "invite", user_id=carol.user_id) == FORBIDDEN

    await alice.act(room, "invite", user_id=bob.user_id)
    assert await alice.try_act(room, "invite", user_id=carol.user_id) == LIMITED


async def test_joins_and_knocks_are_limited(users):
    alice, bob, _ = await users(joins_per_user=ONCE)
    rooms = [await alice.create(preset="public_chat") for _ in range(2)]
    knock = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    knockable = await alice.create(initial_state=[knock])
    await bob.act(rooms[0], "join")
    await bob.act(rooms[0], "join")

    joining = {"membership": "join"}
    assert await bob.try_act(rooms[1], "join") == LIMITED
    assert await bob.try_set_state(rooms[1], "m.room.member", joining, bob.user_id) == LIMITED
    assert await bob.try_("POST", f"/knock/{knockable}", {}) == LIMITED


async def test_those_who_are_kept_out_do_not_use_up_what_a_room_takes_in(users):
    alice, bob, carol = await users(joins_per_room=ONCE)
    room = await alice.create()
    for _ in range(3):
        assert await carol.try_act(room, "join") == FORBIDDEN
    await alice.act(room, "invite", user_id=bob.user_id)
    await bob.act(room, "join")

    await alice.act(room, "invite", user_id=carol.user_id)
    assert await carol.try_act(room, "join") == LIMITED


async def test_the_banned_do_not_use_up_what_a_restricted_room_takes_in(users):
    alice, bob, carol = await users(joins_per_room=ONCE)
    space = await alice.create(preset="public_chat")
    allow = [{"type": "m.room_membership", "room_id": space}]
    rules = {"type": "m.room.join_rules", "content": {"join_rule": "restricted", "allow": allow}}
    room = await alice.create(initial_state=[rules])
    await bob.act(space, "join")
    await alice.act(room, "ban", user_id=bob.user_id)
    for _ in range(3):
        assert await bob.try_act(room, "join") == FORBIDDEN

    await alice.act(room, "invite", user_id=carol.user_id)
    await carol.act(room, "join")


async def test_new_rooms_are_limited_and_upgrades_count(users):
    alice, bob, _ = await users(room_creations=ONCE, invites_per_new_room_max=1)
    too_many = {"invite": [bob.user_id, "@carol:localhost"]}
    assert await alice.try_("POST", "/createRoom", too_many) == (400, "M_INVALID_PARAM")
    room = await alice.create()

    assert await alice.try_("POST", "/createRoom", {}) == LIMITED
    assert await alice.try_act(room, "upgrade", new_version="12") == LIMITED
    assert ("m.room.tombstone", "") not in await alice.all_state(room)
    await bob.create()
