"""What other servers are told of devices and keys of our users, over the endpoints that they ask."""

import asyncio

import orjson
import pytest

from federation.server.device_keys import DeviceKeysForServers, KeysClaim, KeysQuery
from homeserver.core.errors import Forbidden, InvalidParam
from homeserver.e2ee.sharing import Sharing
from homeserver.http.request import Request
from storage.tables import device_lists
from tests.clients.test_cross_signing import set_up
from tests.clients.test_keys import device_of, upload
from tests.doubles.rooms import RoomsServer

ORIGIN = "one.example"
NOBODY = "@nobody:localhost"


@pytest.fixture
async def server(database, tmp_path):
    """Start a whole server without a socket."""
    server = await RoomsServer(database, tmp_path).start()
    yield server
    await server.close()


@pytest.fixture
async def alice(server):
    return await server.user("alice")


@pytest.fixture
def edge(server):
    return edge_of(server)


def edge_of(server, *, is_required=False):
    keys = server.services.keys
    sharing = Sharing(
        database=server.database, interning=server.storage.interning, is_required=is_required
    )
    if is_required:
        keys.device_keys._sharing = sharing
    return DeviceKeysForServers(
        device_keys=keys.device_keys, one_time_keys=keys.one_time_keys, sharing=sharing,
        server_name="localhost",
    )  # fmt: skip


async def ask(respond, body=None, **parameters):
    request = Request("GET", "/", parameters, {}, body=body, origin=ORIGIN)
    return orjson.loads((await respond(request)).body)


async def test_the_list_has_all_devices_and_the_number_of_the_last_change(server, edge, alice):
    device = await device_of(alice)
    none = await ask(edge.get_devices, user_id=alice.user_id)
    assert none == {"user_id": alice.user_id, "stream_id": none["stream_id"], "devices": []}

    await upload(alice, device)
    await alice.ask("PUT", f"/devices/{device.device_id}", {"display_name": "Phone"})
    first = await ask(edge.get_devices, user_id=alice.user_id)
    assert first["devices"] == [
        {"device_id": device.device_id, "keys": {**device.keys(), "unsigned": {}}}
    ], "what it is called is nobody's business"
    position = await server.database.fetch_one(
        "SELECT position FROM device_list_changes WHERE user_id = %b", alice.user_id
    )
    assert first["stream_id"] == device_lists.stream_id_of(position[0])
    assert none["stream_id"] < first["stream_id"] < 2**53

    await set_up(alice)
    second = await ask(edge.get_devices, user_id=alice.user_id)
    assert second["stream_id"] > first["stream_id"]
    assert second["master_key"]["usage"] == ["master"]
    assert second["self_signing_key"]["usage"] == ["self_signing"]
    assert "user_signing_key" not in second


async def test_a_query_tells_what_everybody_may_see(edge, alice):
    device = await device_of(alice)
    await upload(alice, device)
    await set_up(alice)
    told = await ask(edge.query_keys, KeysQuery({alice.user_id: [], NOBODY: None}))

    assert sorted(told) == ["device_keys", "master_keys", "self_signing_keys"]
    assert list(told["device_keys"][alice.user_id]) == [device.device_id]
    assert told["device_keys"][NOBODY] == {}
    assert list(told["master_keys"]) == [alice.user_id]
    other = await ask(edge.query_keys, KeysQuery({alice.user_id: ["OTHER"]}))
    assert other["device_keys"] == {alice.user_id: {}}


async def test_no_key_is_handed_out_twice(edge, alice):
    device = await device_of(alice)
    await upload(alice, device, *"ABCDEFGH")
    body = KeysClaim({alice.user_id: {device.device_id: "signed_curve25519"}})
    answers = await asyncio.gather(*[ask(edge.claim_keys, body) for _ in range(10)])

    told = [answer["one_time_keys"].get(alice.user_id, {}).get(device.device_id) for answer in answers]
    names = [name for key in told if key for name in key]
    assert sorted(names) == [f"signed_curve25519:{name}" for name in "ABCDEFGH"]


@pytest.mark.parametrize("user_id", ["@bob:one.example", "alice", ""])
async def test_only_users_of_this_server_may_be_asked_for(edge, user_id):
    for asking in (
        ask(edge.get_devices, user_id=user_id),
        ask(edge.query_keys, KeysQuery({user_id: []})),
        ask(edge.claim_keys, KeysClaim({user_id: {}})),
    ):
        with pytest.raises(InvalidParam):
            await asking


async def test_what_is_too_much_is_refused(edge, alice):
    with pytest.raises(InvalidParam):
        await ask(edge.query_keys, KeysQuery({alice.user_id: ["A"] * 50_001}))
    many = {f"D{number}": "signed_curve25519" for number in range(50_001)}
    with pytest.raises(InvalidParam):
        await ask(edge.claim_keys, KeysClaim({alice.user_id: many}))


async def test_where_it_is_so_configured_only_those_in_shared_rooms_are_shown(server, alice):
    edge = edge_of(server, is_required=True)
    device = await device_of(alice)
    await upload(alice, device, "A")
    claim = KeysClaim({alice.user_id: {device.device_id: "signed_curve25519"}})
    assert (await ask(edge.query_keys, KeysQuery({alice.user_id: []})))["device_keys"] == {}
    assert await ask(edge.claim_keys, claim) == {"one_time_keys": {}}
    with pytest.raises(Forbidden):
        await ask(edge.get_devices, user_id=alice.user_id)

    await alice.create()
    await server.database.execute("INSERT INTO interned_users (text) VALUES ('@bob:one.example')")
    await server.database.execute(
        "INSERT INTO memberships (room_nid, user_nid, position, is_local, membership, event_id)"
        " SELECT room_nid, nid, 1, false, 'join', '$e' FROM rooms, interned_users"
        " WHERE text = '@bob:one.example'"
    )
    told = await ask(edge.query_keys, KeysQuery({alice.user_id: []}))
    assert list(told["device_keys"]) == [alice.user_id]
    assert len((await ask(edge.get_devices, user_id=alice.user_id))["devices"]) == 1
    assert list((await ask(edge.claim_keys, claim))["one_time_keys"]) == [alice.user_id]
