"""What is ephemeral, from other servers to the clients of a whole server."""

from urllib.parse import quote

import pytest

from federation.server.edus import EdusFromServers
from federation.server.refusals import EduRefused, Refusals
from federation.server.room_access import RoomAccess
from homeserver.core.errors import Unavailable
from homeserver.rooms.room_servers import RoomServers
from tests.doubles.federated_rooms import Network, RoomsOfWholeServer
from tests.doubles.presence import PresenceServer

THERE = "there.example"
BOB = "@bob:there.example"
EVE = "@eve:there.example"


class Devices:
    """Takes note of what was handed over."""

    def __init__(self):
        self.told = []
        self.failing = None

    async def device_list_update(self, origin, content):
        if self.failing is not None:
            raise self.failing
        self.told.append(("list", origin, content))

    async def signing_key_update(self, origin, content):
        self.told.append(("keys", origin, content))


class World:
    """A server with Alice, and a room of hers that Bob is in from elsewhere."""

    def __init__(self, server):
        self.server = server
        self.observations = []
        self.devices = Devices()

    async def start(self):
        server, services = self.server, self.server.services
        self.rooms = await RoomsOfWholeServer(server, Network()).start()
        self.alice = await server.user("alice")
        self.room_id = await self.alice.create(preset="public_chat")
        await self.let_in(self.room_id)
        access = RoomAccess(
            registry=services.rooms.registry, room_servers=RoomServers(server.database, "localhost")
        )
        self.edus = EdusFromServers(
            typing=services.ephemeral.typing, receipts=services.ephemeral.receipts,
            presence=services.ephemeral.remote_presence, devices=self.devices,
            to_device=services.encryption.received_messages.take_in, allows=access.allows,
            refusals=Refusals(self.observations.append), clock=server.clock,
        )  # fmt: skip
        return self

    async def let_in(self, room_id):
        entry = await self.rooms.member_event(room_id, BOB, {"membership": "join"})
        await self.rooms.accept(THERE, room_id, entry)

    async def take_in(self, kind, content, origin=THERE):
        await self.edus.take_in(origin, [{"edu_type": kind, "content": content}])

    async def ephemeral(self, kind):
        answer = await self.alice.get("/sync?set_presence=offline")
        room = answer["rooms"]["join"][self.room_id]
        events = room.get("ephemeral", {}).get("events", [])
        return [event["content"] for event in events if event["type"] == kind]

    async def presence(self):
        answer = await self.alice.get("/sync?set_presence=offline")
        return {event["sender"]: event["content"] for event in answer.get("presence", {}).get("events", [])}

    async def messages(self):
        answer = await self.alice.get("/sync?set_presence=offline")
        return answer.get("to_device", {}).get("events", [])

    def refused(self):
        refused = [one.edu_type for one in self.observations if isinstance(one, EduRefused)]
        self.observations.clear()
        return refused


@pytest.fixture
async def world(database, tmp_path):
    server = await PresenceServer(database, tmp_path).start()
    yield await World(server).start()
    await server.close()


async def test_who_types_elsewhere_is_shown_here(world):
    typing = {"room_id": world.room_id, "user_id": BOB, "typing": True}
    await world.take_in("m.typing", typing)
    assert await world.ephemeral("m.typing") == [{"user_ids": [BOB]}]
    await world.take_in("m.typing", {**typing, "typing": False})
    assert await world.ephemeral("m.typing") in ([], [{"user_ids": []}])

    for bad in ({"user_id": EVE}, {"user_id": world.alice.user_id}, {"typing": "yes"}, {"room_id": 7}):
        await world.take_in("m.typing", {**typing, **bad})
    assert world.refused() == ["m.typing"] * 4
    assert await world.ephemeral("m.typing") in ([], [{"user_ids": []}])


async def test_who_is_kept_out_of_the_room_is_not_shown(world):
    acl = {"allow": ["*"], "deny": [THERE]}
    path = f"/rooms/{quote(world.room_id)}/state/m.room.server_acl/"
    await world.alice.ask("PUT", path, acl)
    event_id = await world.alice.send(world.room_id)
    await world.take_in("m.typing", {"room_id": world.room_id, "user_id": BOB, "typing": True})
    receipt = {BOB: {"event_ids": [event_id], "data": {"ts": 1}}}
    await world.take_in("m.receipt", {world.room_id: {"m.read": receipt}})
    assert await world.ephemeral("m.typing") == []
    assert await world.ephemeral("m.receipt") == []


async def test_how_far_users_elsewhere_have_read_is_stored_and_shown(world):
    first, second = [await world.alice.send(world.room_id) for _ in range(2)]

    async def read(event_id, user_id=BOB, **data):
        receipt = {user_id: {"event_ids": [event_id], "data": {"ts": 5, **data}}}
        await world.take_in("m.receipt", {world.room_id: {"m.read": receipt}})

    receipt = {BOB: {"event_ids": [second], "data": {"ts": 5}}}
    await world.take_in("m.receipt", {
        "!nowhere": {"m.read": receipt}, world.room_id: {"m.read": receipt, "m.odd": receipt}, "!x": 7,
    })  # fmt: skip
    assert world.refused() == ["m.receipt"]
    await read(first)  # nobody goes back
    await read(first, thread_id="main")
    await read("$nothing")
    await read(first, EVE)
    assert world.refused() == []
    (told,) = await world.ephemeral("m.receipt")
    assert told == {
        second: {"m.read": {BOB: {"ts": 5}}}, first: {"m.read": {BOB: {"ts": 5, "thread_id": "main"}}},
    }  # fmt: skip

    await read(first, world.alice.user_id)
    await read(first, thread_id="thread")
    await read(first, ts=-1)
    await world.take_in("m.receipt", {world.room_id: {"m.read": {BOB: {"event_ids": []}}}})
    await world.take_in("m.receipt", {"no room": {"m.read": {BOB: {"event_ids": [first]}}}})
    assert world.refused() == ["m.receipt"] * 5
    assert await world.ephemeral("m.receipt") == [told]


async def test_who_is_here_elsewhere_is_shown_to_those_who_share_a_room(world):
    here = {"user_id": BOB, "presence": "online", "last_active_ago": 5_000, "currently_active": True}
    stranger = {**here, "user_id": EVE}
    await world.presence()  # Alice is known to be interested
    await world.take_in("m.presence", {"push": [{**here, "status_msg": "Hello"}, stranger]})
    told = (await world.presence())[BOB]
    assert told["presence"] == "online"
    assert told["status_msg"] == "Hello"
    assert told["currently_active"] is True
    assert 5_000 <= told["last_active_ago"] < 100_000
    assert EVE not in await world.presence()
    assert (await world.alice.get(f"/presence/{BOB}/status"))["presence"] == "online"

    await world.take_in("m.presence", {"push": [{**here, "presence": "offline"}]})
    assert BOB not in await world.presence()
    for bad in ({"presence": ["online"]}, {"user_id": world.alice.user_id}, {"last_active_ago": -1},
                {"status_msg": "x" * 5_000}, {"currently_active": 1}):  # fmt: skip
        await world.take_in("m.presence", {"push": [{**here, **bad}]})
    await world.take_in("m.presence", {"push": 7})
    assert world.refused() == ["m.presence"] * 6
    assert BOB not in await world.presence()


async def test_a_server_that_falls_silent_takes_its_users_along(world):
    await world.presence()
    await world.take_in("m.presence", {"push": [{"user_id": BOB, "presence": "unavailable"}]})
    assert BOB in await world.presence()
    remote = world.server.services.ephemeral.remote_presence
    world.server.clock.advance(1_700_000)
    await remote.sweep()
    assert BOB in await world.presence()
    world.server.clock.advance(200_000)
    await remote.sweep()
    assert BOB not in await world.presence()


async def test_a_message_to_devices_is_delivered_once(world):
    message = {
        "sender": BOB, "type": "m.note", "message_id": "1",
        "messages": {world.alice.user_id: {"*": {"body": "psst"}}, "@no:one.example": {"A": {}}},
    }  # fmt: skip
    edu = {"edu_type": "m.direct_to_device", "content": message}
    await world.edus.take_in(THERE, [edu, edu])
    await world.take_in("m.direct_to_device", message)
    assert await world.messages() == [{"type": "m.note", "sender": BOB, "content": {"body": "psst"}}]
    await world.take_in("m.direct_to_device", {**message, "message_id": "2"})
    assert len(await world.messages()) == 2

    await world.take_in("m.direct_to_device", {**message, "message_id": "1"}, "else.example")
    for bad in ({"sender": world.alice.user_id}, {"message_id": None}, {"message_id": "m" * 300}, {"type": 7},
                {"messages": {world.alice.user_id: {"*": 7}}},
                {"messages": {world.alice.user_id: {"*": {"body": "x" * 70_000}}}}):  # fmt: skip
        await world.take_in("m.direct_to_device", {**message, "message_id": "3", **bad})
    assert world.refused() == ["m.direct_to_device"] * 7
    assert len(await world.messages()) == 2


async def test_changes_of_devices_and_keys_are_handed_on_in_their_order(world):
    kinds = ["m.device_list_update", "m.signing_key_update", "m.device_list_update"]
    edus = [{"edu_type": kind, "content": {"n": number}} for number, kind in enumerate(kinds)]
    odd = [{"edu_type": "m.new", "content": {}}, 7, {"edu_type": "m.typing"}]
    await world.edus.take_in(THERE, [*edus, *odd])
    assert world.devices.told == [
        ("list", THERE, {"n": 0}), ("keys", THERE, {"n": 1}), ("list", THERE, {"n": 2}),
    ]  # fmt: skip
    assert world.refused() == ["", ""]


async def test_what_could_not_be_stored_is_not_acknowledged_if_nobody_would_tell_it_again(world):
    world.devices.failing = Unavailable("Not now.")
    with pytest.raises(Unavailable):
        await world.take_in("m.device_list_update", {})


