"""What clients are told of users, aliases, directories and spaces of other servers, and servers of ours."""

from dataclasses import replace
from urllib.parse import quote

import orjson
import pytest

from federation.client.aliases import RemoteAliases
from federation.server.public_rooms import PublicRoomsQuery, ServersFilter
from homeserver.app.build_outgoing import unfederated
from homeserver.app.build_queries import query_owners
from homeserver.core.errors import InvalidParam, NotFound, RemoteRefused
from homeserver.http.request import Request
from homeserver.rooms.room_servers import RoomServers
from tests.doubles.federation_client import ScriptedFederationClient
from tests.doubles.rooms import RoomsServer

ONE, BOB, FAR = "one.example", "@bob:one.example", "!far:one.example"
QUERY = "/_matrix/federation/v1/query"
CLIENT = "/_matrix/client"


class FederatedServer(RoomsServer):
    """A whole server whose requests to others are answered by a script."""

    async def outgoing(self, runtime):
        self.client = ScriptedFederationClient()
        return replace(
            unfederated(runtime), client=self.client, directory=RemoteAliases(self.client)
        )

    async def endpoints_for_servers(self, runtime, outgoing):
        return []


@pytest.fixture
async def server(database, tmp_path):
    """Start such a server."""
    server = await FederatedServer(database, tmp_path).start()
    yield server
    await server.close()


@pytest.fixture
async def alice(server):
    return await server.user("alice")


def summary(room_id=FAR, **more):
    return {
        "room_id": room_id, "num_joined_members": 3, "world_readable": False, "guest_can_join": False,
        "join_rule": "public", **more,
    }  # fmt: skip


def child(room_id, *via, **content):
    return {
        "type": "m.space.child", "state_key": room_id, "sender": BOB, "origin_server_ts": 1,
        "content": {"via": list(via), **content},
    }  # fmt: skip


async def get(alice, path):
    return await alice.server.call("GET", f"{CLIENT}{path}", token=alice.token)


async def test_profiles_of_other_servers_are_asked_for_once_in_a_while(server, alice):
    server.client.answer(ONE, f"{QUERY}/profile", {"displayname": "Bob", "avatar_url": 7, "m.tz": "UTC"})
    for _ in range(2):
        assert await get(alice, f"/v3/profile/{BOB}") == (200, {"displayname": "Bob", "m.tz": "UTC"})
    assert await get(alice, f"/v3/profile/{BOB}/displayname") == (200, {"displayname": "Bob"})
    status, _ = await get(alice, f"/v3/profile/{BOB}/avatar_url")

    assert status == 404
    assert [asked.query for asked in server.client.asked] == [{"user_id": BOB}]


@pytest.mark.parametrize(
    ("answer", "status", "asked"),
    [
        (RemoteRefused(404, "M_NOT_FOUND", "none"), 404, 1),
        (RemoteRefused(403, "M_FORBIDDEN", "no"), 403, 1),
        (RemoteRefused(401, "M_UNKNOWN_TOKEN", "who are you"), 404, 1),
        ({"x": 2**70}, 503, 2),
        ({"x": "y" * 70_000}, 503, 2),
        ([], 503, 2),
    ],
)
async def test_a_profile_that_is_not_told_is_not_shown(server, alice, answer, status, asked):
    server.client.answer(ONE, f"{QUERY}/profile", answer)
    for _ in range(2):
        told, body = await get(alice, f"/v3/profile/{BOB}")
        assert told == status
        assert body["errcode"] != "M_UNKNOWN_TOKEN"
    assert len(server.client.asked) == asked


async def test_an_alias_of_another_server_is_found_there(server, alice):
    server.client.answer(ONE, f"{QUERY}/directory", {"room_id": FAR, "servers": [ONE, "two.example", 7]})
    status, body = await get(alice, f"/v3/directory/room/{quote('#far:one.example')}")

    assert status == 200
    assert body["room_id"] == FAR
    assert set(body["servers"]) == {ONE, "two.example"}
    server.client.answer(ONE, f"{QUERY}/directory", RemoteRefused(404, "M_NOT_FOUND", "none"))
    assert (await get(alice, f"/v3/directory/room/{quote('#far:one.example')}"))[0] == 404
    assert (await get(alice, "/v3/directory/room/far"))[0] == 400


async def test_public_rooms_of_another_server_are_told_as_far_as_they_are_rooms(server, alice):
    server.client.answer(
        ONE, "/_matrix/federation/v1/publicRooms",
        {
            "chunk": [summary(name="Far", extra="x"), {"room_id": "nonsense"}, 7], "next_batch": "n",
            "prev_batch": 7, "total_room_count_estimate": "many",
        },
    )  # fmt: skip
    status, body = await get(alice, f"/v3/publicRooms?server={ONE}&limit=5&since=s")
    assert status == 200
    assert body == {"chunk": [summary(name="Far")], "next_batch": "n", "total_room_count_estimate": 1}
    assert server.client.asked[-1].content == {"limit": 5, "since": "s"}

    wanted = {"generic_search_term": "far", "room_types": [None, "m.space"]}
    asked = {"limit": 5, "filter": wanted, "third_party_instance_id": "irc"}
    path = f"{CLIENT}/v3/publicRooms?server={ONE}"
    assert (await server.call("POST", path, asked, token=alice.token))[0] == 200
    assert server.client.asked[-1].content == asked
    count = len(server.client.asked)
    assert (await server.call("GET", path))[0] == 401, "others are not asked for whoever comes along"
    assert (await get(alice, "/v3/publicRooms?server=localhost"))[1]["chunk"] == []
    assert (await get(alice, "/v3/publicRooms?server=a%20b"))[0] == 400
    assert len(server.client.asked) == count


async def test_a_walk_over_a_space_goes_on_elsewhere(server, alice):
    space = await alice.create(creation_content={"type": "m.space"})
    for place, (room_id, via) in enumerate(((FAR, [ONE]), ("!gone:two.example", ["two.example"]))):
        content = {"via": via, "order": f"{place}"}
        await alice.set_state(space, "m.space.child", content, room_id)
    secret = await alice.create()
    far = summary(name="Far", room_type="m.space", encryption=7)
    leaf, closed = "!leaf:one.example", "!closed:one.example"
    server.client.answer(
        ONE, f"/_matrix/federation/v1/hierarchy/{quote(FAR)}",
        {
            "room": {
                **far,
                "children_state": [
                    child(leaf, ONE), child(closed, ONE), child(space, "localhost"), child(secret, ONE),
                    child("!invited:one.example", ONE), child("!bad:one.example"), {"type": "m.room.name"},
                ],
            },
            "children": [summary(leaf), summary("!invited:one.example", join_rule="invite")],
            "inaccessible_children": [closed],
        },
    )  # fmt: skip
    status, body = await get(alice, f"/v1/rooms/{space}/hierarchy")

    assert status == 200
    assert [room["room_id"] for room in body["rooms"]] == [space, FAR, leaf, secret]
    shown = body["rooms"][1]
    assert shown["name"] == "Far"
    assert "encryption" not in shown
    assert [each["state_key"] for each in shown["children_state"]][:2] == [leaf, closed]
    assert {asked.path for asked in server.client.asked if asked.destination == ONE} == {
        f"/_matrix/federation/v1/hierarchy/{quote(FAR)}"
    }, "of children all was told already"
    count = len(server.client.asked)
    await get(alice, f"/v1/rooms/{space}/hierarchy")
    assert len(server.client.asked) == count, "it is remembered for a while"


async def test_a_space_that_is_not_here_is_walked_over_too(server, alice):
    room_type = {"room_type": "m.space"}
    server.client.answer(
        ONE, f"/_matrix/federation/v1/hierarchy/{quote(FAR)}",
        {"room": {**summary(**room_type), "children_state": [child("!x:one.example", ONE)]}, "children": []},
    )  # fmt: skip
    status, body = await get(alice, f"/v1/rooms/{FAR}/hierarchy?limit=1")
    assert status == 200
    assert [room["room_id"] for room in body["rooms"]] == [FAR]
    _, rest = await get(alice, f"/v1/rooms/{FAR}/hierarchy?limit=1&from={body['next_batch']}")
    assert rest["rooms"] == []
    assert (await get(alice, "/v1/rooms/!none:two.example/hierarchy"))[0] == 403


async def test_the_summary_of_a_room_elsewhere_is_told_if_the_user_could_see_it(server, alice):
    mine = await alice.create()
    path = "/_matrix/federation/v1/hierarchy/"
    for name, more in (
        ("open", {}), ("knock", {"join_rule": "knock"}), ("closed", {"join_rule": "invite"}),
        ("world", {"join_rule": "invite", "world_readable": True}),
        ("mine", {"join_rule": "restricted", "allowed_room_ids": [mine]}),
        ("theirs", {"join_rule": "restricted", "allowed_room_ids": [FAR]}),
    ):
        room_id = f"!{name}:one.example"
        told = {**summary(room_id, **more), "children_state": []}
        server.client.answer(ONE, path + quote(room_id), {"room": told, "children": []})

    async def status(name):
        room_id = quote(f"!{name}:one.example")
        return (await get(alice, f"/v1/room_summary/{room_id}?via=two.example&via={ONE}"))[0]

    assert [await status(name) for name in ("open", "knock", "closed", "world", "mine", "theirs")] == [
        200, 200, 404, 200, 200, 404,
    ]  # fmt: skip
    assert await status("unknown") == 404
    status_, body = await get(alice, f"/v1/room_summary/{quote('!open:one.example')}?via={ONE}")
    assert body == {**summary("!open:one.example"), "membership": "leave"}
    server.client.answer(ONE, f"{QUERY}/directory", {"room_id": "!open:one.example", "servers": [ONE]})
    status_, body = await get(alice, f"/v1/room_summary/{quote('#open:one.example')}")
    assert (status_, body["room_id"]) == (200, "!open:one.example")


# What other servers are told.


@pytest.fixture
def edges(server):
    rooms = server.services.rooms
    return list(
        query_owners(
            "localhost", profiles=server.services.profiles, directory=rooms.directory,
            published=rooms.finding.published, hierarchy=rooms.finding.hierarchy_for_servers,
            room_servers=RoomServers(server.database, "localhost"),
        )
    )  # fmt: skip


async def ask(respond, body=None, query=(), **parameters):
    values = {key: [value] for key, value in dict(query).items()}
    request = Request("GET", "/", parameters, values, body=body, origin=ONE)
    return orjson.loads((await respond(request)).body)


async def come(server, room_id, membership="join"):
    """Let a user of another server be in a room, as far as the tables say."""
    await server.database.execute("INSERT INTO interned_users (text) VALUES (%b) ON CONFLICT DO NOTHING", BOB)
    await server.database.execute(
        "INSERT INTO memberships (room_nid, user_nid, position, is_local, membership, event_id)"
        " SELECT room_nid, nid, 1, false, %b, '$e' FROM rooms, interned_users"
        " WHERE text = %b AND room_id = %b",
        membership, BOB, room_id,
    )  # fmt: skip


async def test_servers_are_told_profiles_of_our_users(alice, edges):
    queries = edges[0]
    await alice.ask("PUT", f"/profile/{alice.user_id}/displayname", {"displayname": "Alice"})

    assert await ask(queries.get_profile, query={"user_id": alice.user_id}) == {"displayname": "Alice"}
    for field, told in (("displayname", {"displayname": "Alice"}), ("avatar_url", {})):
        assert await ask(queries.get_profile, query={"user_id": alice.user_id, "field": field}) == told
    for user_id, error in ((BOB, InvalidParam), ("alice", InvalidParam), ("@no:localhost", NotFound)):
        with pytest.raises(error):
            await ask(queries.get_profile, query={"user_id": user_id})


async def test_servers_are_told_where_our_aliases_lead(server, alice, edges):
    room_id = await alice.create(room_alias_name="here")
    await come(server, room_id)

    assert await ask(edges[0].get_room_of_alias, query={"room_alias": "#here:localhost"}) == {
        "room_id": room_id, "servers": ["localhost", ONE],
    }  # fmt: skip
    for alias, error in (("#none:localhost", NotFound), ("#here:one.example", InvalidParam)):
        with pytest.raises(error):
            await ask(edges[0].get_room_of_alias, query={"room_alias": alias})


async def test_servers_are_told_what_is_published(alice, edges):
    room_id = await alice.create(visibility="public", name="Bay", preset="public_chat")
    await alice.create(name="Hidden")
    rooms = edges[1]
    told = await ask(rooms.get_public_rooms, query={"limit": "5"})
    assert [room["room_id"] for room in told["chunk"]] == [room_id]
    assert told["total_room_count_estimate"] == 1

    for term, count in (("bay", 1), ("coast", 0)):
        body = PublicRoomsQuery(filter=ServersFilter(generic_search_term=term))
        assert len((await ask(rooms.query_public_rooms, body))["chunk"]) == count
    long = ServersFilter(generic_search_term="x" * 300)
    for wrong in (PublicRoomsQuery(limit=-1), PublicRoomsQuery(filter=long)):
        with pytest.raises(InvalidParam):
            await ask(rooms.query_public_rooms, wrong)


async def test_servers_are_told_of_a_space_what_one_of_their_users_could_see(server, alice, edges):
    space = await alice.create(creation_content={"type": "m.space"}, preset="public_chat")
    open_, closed = await alice.create(preset="public_chat"), await alice.create()
    entered, invited = await alice.create(), await alice.create()
    await come(server, entered)
    await come(server, invited, "invite")
    for place, room_id in enumerate((open_, closed, entered, invited, FAR)):
        content = {"via": ["localhost"], "order": f"{place}", "suggested": room_id != entered}
        await alice.set_state(space, "m.space.child", content, room_id)
    get_hierarchy = edges[2].get_hierarchy
    told = await ask(get_hierarchy, roomId=space)

    assert told["room"]["room_id"] == space
    assert len(told["room"]["children_state"]) == 5
    assert [room["room_id"] for room in told["children"]] == [open_, entered, invited]
    assert told["inaccessible_children"] == [closed], "of others nothing is known here"
    told = await ask(get_hierarchy, query={"suggested_only": "true"}, roomId=space)
    assert [room["room_id"] for room in told["children"]] == [open_, invited]
    assert (await ask(get_hierarchy, roomId=open_))["room"]["children_state"] == []
    for room_id in (closed, FAR):
        with pytest.raises(NotFound):
            await ask(get_hierarchy, roomId=room_id)
