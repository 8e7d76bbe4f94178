"""Presence over the WebSocket, in both directions."""

import asyncio

import orjson
import pytest

from clients.websocket.connection import Connection
from clients.websocket.connection import Services as WebSocketServices
from homeserver.ephemeral.present_user import DISCONNECT_MS, IDLE_MS
from homeserver.runtime.tasks import Tasks
from tests.doubles.presence import PresenceServer, path


@pytest.fixture
async def rooms_server(database, tmp_path):
    server = await PresenceServer(database, tmp_path).start()
    yield server
    await server.close()


@pytest.fixture
async def room(alice, bob):
    room_id = await alice.create(preset="public_chat")
    await bob.act(room_id, "join")
    return room_id


class Wire:
    """What a WebSocket client receives."""

    def __init__(self):
        self.frames = asyncio.Queue()

    def send(self, frame):
        self.frames.put_nowait(orjson.loads(frame))

    async def next(self):
        return await asyncio.wait_for(self.frames.get(), 10)

    async def presence(self, connection):
        """Read deltas until one tells of presence."""
        while True:
            delta = (await self.next())["sync"]
            connection.message(orjson.dumps({"ack": delta["next_batch"]}))
            if "presence" in delta:
                return {event["sender"]: event["content"] for event in delta["presence"]["events"]}


@pytest.fixture
async def stream(rooms_server):
    """Connect users over the WebSocket."""
    services, tasks, connections = rooms_server.services, Tasks(rooms_server.failures.append), []

    def connect(user, **options):
        wire = Wire()
        shared = WebSocketServices(
            responder=rooms_server.dispatcher, authenticator=services.access_tokens, sync=services.sync,
            filters=services.filters, tasks=tasks, presence=services.ephemeral.presence,
        )  # fmt: skip
        connection = Connection(shared, wire, access_token=user.token)
        connection.message(orjson.dumps({"sync": options}))
        connections.append(connection)
        return connection, wire

    yield connect
    for connection in connections:
        connection.lost()
    await tasks.close()
    assert rooms_server.failures == []


async def test_presence_in_both_directions_over_the_websocket(rooms_server, alice, bob, room, stream):
    connection, wire = stream(alice)
    told = await wire.presence(connection)
    assert told[alice.user_id]["presence"] == "online"
    quiet, quiet_wire = stream(bob, set_presence="offline")
    told = await quiet_wire.presence(quiet)
    assert set(told) == {alice.user_id}

    asked = {"method": "PUT", "path": "/_matrix/client/v3" + path(alice)}
    connection.message(orjson.dumps({"id": 1, **asked, "body": {"presence": "unavailable"}}))
    assert (await quiet_wire.presence(quiet))[alice.user_id]["presence"] == "unavailable"
    while "id" not in (frame := await wire.next()):
        connection.message(orjson.dumps({"ack": frame["sync"]["next_batch"]}))
    assert (frame["status"], frame["body"]) == (200, {})
    await rooms_server.after(10 * IDLE_MS)
    assert quiet_wire.frames.empty(), "as long as the stream lasts, so does she"

    connection.message(b'{"stop": true}')
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await rooms_server.after(DISCONNECT_MS)
    assert (await quiet_wire.presence(quiet))[alice.user_id]["presence"] == "offline"


async def test_a_websocket_stream_that_wants_to_be_something_else_is_refused(alice, stream):
    _, wire = stream(alice, set_presence="asleep")
    assert (await wire.next())["error"]["errcode"] == "M_BAD_JSON"
