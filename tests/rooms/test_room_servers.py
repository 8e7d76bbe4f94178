"""Who is in a room is known from memory as the table has it, whatever came meanwhile."""

import asyncio
import contextlib
import random

import pytest

from homeserver.core.changes import EventChange
from homeserver.core.errors import Forbidden
from homeserver.rooms.room_servers import RoomServers
from storage.tables.room_servers import all_servers, joined_servers, rooms_of_server, rooms_of_users
from tests.doubles.federated_rooms import Network, RoomsOfServer
from tests.doubles.sending import Published

ALICE = "@alice:a.example"
USERS = [f"@{name}:{server}.example" for name in ("one", "two") for server in "bcd"]


@pytest.fixture
async def server(database):
    server = RoomsOfServer("a.example", database, Network())
    server.published = Published()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def known(server):
    known = RoomServers(server.database, "a.example")
    server.published.readers.append(known.follow)
    return known


@pytest.fixture
async def room_id(server):
    return await server.create(ALICE, preset="public_chat")


async def let_in(server, room_id, user_id, membership="join"):
    event = await server.member_event(room_id, user_id, {"membership": membership})
    await server.receive(user_id.partition(":")[2], room_id, event)
    return event


async def kick(server, room_id, user_id, membership="leave"):
    return await server.send(room_id, ALICE, "m.room.member", {"membership": membership}, user_id)


async def nid_of(server, room_id):
    return (await server.registry.actor(room_id)).room_nid


async def test_a_room_of_ours_alone_has_no_other_server(known, server, room_id):
    assert await known.joined(room_id) == frozenset()
    assert await known.joined("!unknown:a.example") == frozenset()


async def test_a_server_is_in_the_room_until_the_last_of_its_users_leaves(known, server, room_id):
    await let_in(server, room_id, "@one:b.example")
    assert await known.joined(room_id) == {"b.example"}
    await let_in(server, room_id, "@two:b.example")
    await kick(server, room_id, "@one:b.example")
    assert await known.joined(room_id) == {"b.example"}
    await kick(server, room_id, "@two:b.example")
    assert await known.joined(room_id) == frozenset()


@pytest.mark.parametrize("is_read_late", [False, True])
async def test_whom_an_event_takes_out_is_told_of_it_and_of_nothing_later(
    known, server, room_id, is_read_late
):
    if not is_read_late:
        await known.joined(room_id)
    await let_in(server, room_id, "@one:b.example")
    await server.say(room_id, ALICE)
    before = server.published[-1].position
    await kick(server, room_id, "@one:b.example", "ban")
    ban = server.published[-1].position
    await server.say(room_id, ALICE)
    after = server.published[-1].position
    if is_read_late:
        assert known.known(room_id) is None

    servers = await known.read(room_id)
    assert servers.to_hear(before) == {"b.example"}
    assert servers.to_hear(ban) == {"b.example"}
    assert servers.to_hear(after) == frozenset()


async def test_rooms_are_forgotten_and_read_again(server):
    known = RoomServers(server.database, "a.example", rooms_max=1)
    server.published.readers.append(known.follow)
    one, two = [await server.create(ALICE, preset="public_chat") for _ in range(2)]
    for room_id in (one, two, one):
        assert await known.joined(room_id) == frozenset()
    await let_in(server, two, "@one:b.example")

    assert known.known(two) is None
    assert await known.joined(two) == {"b.example"}
    assert known.known(one) is None


async def test_rooms_of_users_are_told_where_there_are_remote_users(server, room_id):
    await server.create(ALICE, preset="public_chat")
    await let_in(server, room_id, "@one:b.example")

    assert await rooms_of_users(server.database, [ALICE, "@nobody:a.example"]) == [(ALICE, room_id)]
    assert await all_servers(server.database) == ["b.example"]
    assert [room for room, _ in await rooms_of_server(server.database, "b.example")] == [room_id]
    assert await rooms_of_server(server.database, "c.example") == []


@pytest.mark.parametrize("lost", [(), (("m.room.member", "@one:b.example"),)])
async def test_what_a_resolution_of_state_took_or_gave_back_is_read_anew(known, server, room_id, lost):
    member = await let_in(server, room_id, "@one:b.example")
    said = await server.say(room_id, ALICE)
    assert await known.joined(room_id) == {"b.example"}
    await server.database.execute("UPDATE memberships SET membership = 'leave' WHERE NOT is_local")
    position = server.published[-1].position + 1
    known.follow([EventChange(position, room_id, said, resets=() if lost else (member,), removed=lost)])

    assert known.known(room_id) is None
    assert await known.joined(room_id) == frozenset()


@pytest.mark.parametrize("seed", range(8))
async def test_memory_and_table_agree_after_any_joins_leaves_and_resets(server, room_id, seed):
    chance = random.Random(seed)
    known = RoomServers(server.database, "a.example")
    server.published.readers.append(known.follow)
    late = []
    for _ in range(40):
        user_id = chance.choice(USERS)
        action = chance.choice(["join", "leave", "kick", "ban", "propose", "deliver", "read", "say"])
        with contextlib.suppress(Forbidden):
            if action in {"join", "leave"}:
                await let_in(server, room_id, user_id, action)
            elif action in {"kick", "ban"}:
                await kick(server, room_id, user_id, "leave" if action == "kick" else "ban")
            elif action == "propose":
                late.append(await server.member_event(room_id, user_id, {"membership": "join"}))
            elif action == "deliver" and late:
                event = late.pop(chance.randrange(len(late)))
                reading = asyncio.ensure_future(known.joined(room_id))
                await server.receive(event.sender.partition(":")[2], room_id, event)
                await reading
            elif action == "read":
                known = RoomServers(server.database, "a.example")
                server.published.readers[:] = [known.follow]
            else:
                await server.say(room_id, ALICE)
        if chance.random() < 0.7:
            assert await known.joined(room_id) == await joined_servers(
                server.database, await nid_of(server, room_id)
            )
