"""Device lists and counts of keys over the WebSocket: pushed when they change; counts come first, too."""

import asyncio
from contextlib import contextmanager

import orjson
import pytest

from clients.websocket.connection import Connection
from clients.websocket.connection import Services as WebSocketServices
from homeserver.runtime.tasks import Tasks
from tests.clients.test_keys import claim, device_of, upload

COUNT, UNUSED = "device_one_time_keys_count", "device_unused_fallback_key_types"


class Wire:
    """What a WebSocket client receives."""

    def __init__(self):
        self.frames = asyncio.Queue()

    def send(self, frame):
        self.frames.put_nowait(orjson.loads(frame))

    async def delta(self, *, without=()):
        """The next delta that tells of more than the named parts."""
        while True:
            delta = (await asyncio.wait_for(self.frames.get(), 10))["sync"]
            if set(delta) - {"next_batch", *without}:
                return delta


@pytest.fixture
async def connect(rooms_server):
    """Connect a user over the WebSocket, for the duration of a block."""
    services, tasks = rooms_server.services, Tasks(rooms_server.failures.append)
    shared = WebSocketServices(
        responder=rooms_server.dispatcher, authenticator=services.access_tokens, sync=services.sync,
        filters=services.filters, tasks=tasks,
    )  # fmt: skip

    @contextmanager
    def connected(user, **options):
        wire = Wire()
        connection = Connection(shared, wire, access_token=user.token)
        connection.message(orjson.dumps({"sync": options}))
        yield wire
        connection.lost()

    yield connected
    await tasks.close()
    assert rooms_server.failures == []


async def test_counts_come_first_and_when_they_change_and_lists_as_they_change(alice, bob, connect):
    room_id = await alice.create(preset="public_chat")
    await bob.act(room_id, "join")
    device = await device_of(alice)
    await upload(alice, device, "A", "B", fallback_keys=device.one_time_keys("F", fallback=True))
    with connect(alice) as wire:
        first = await wire.delta()
        assert (first[COUNT], first[UNUSED]) == ({"signed_curve25519": 2}, ["signed_curve25519"])

        await alice.send(room_id)
        told = await wire.delta(without=["presence"])
        assert COUNT not in told
        assert "rooms" in told

        await claim(bob, device)
        told = await wire.delta(without=["presence"])
        assert told.pop(COUNT) == {"signed_curve25519": 1}
        assert set(told) == {"next_batch", UNUSED}

        await upload(bob, await device_of(bob))
        told = await wire.delta(without=["presence"])
        assert told.pop("device_lists") == {"changed": [bob.user_id], "left": []}
        assert set(told) == {"next_batch"}
    await claim(bob, device)
    with connect(alice, since=told["next_batch"]) as wire:
        assert (await wire.delta())[COUNT] == {"signed_curve25519": 0}
