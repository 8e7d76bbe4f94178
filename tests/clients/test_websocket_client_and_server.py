"""Client and server of the WebSocket, joined without a network: whatever goes wrong, each event once."""

import asyncio

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from clients.websocket.connection import Connection, Services
from clients.websocket_client.client import Client
from clients.websocket_client.errors import ConnectionLost
from homeserver.core.filters import parse_filter
from homeserver.runtime.tasks import Tasks
from tests.doubles.websocket_peer import Chance, FakeWire, settle
from tests.sync.sync_world import World, requester

ALICE = "@alice:example.org"
ROOM = "!room:example.org"


class JoinedWire(FakeWire):
    """A wire whose other end is the server's connection."""

    def __init__(self, services):
        super().__init__()
        self.connection = Connection(services, self, access_token="alice")

    def send(self, message):
        """Send to the other end: text is the client's, bytes are the server's."""
        if isinstance(message, bytes):
            self._incoming.put_nowait(message.decode())
            return None
        return self._send(message)

    async def _send(self, text):
        await super().send(text)
        self.connection.message(text.encode())

    def close(self, *code):
        if code:  # the server's
            self._incoming.put_nowait(ConnectionLost("closed", code[0]))
            return None
        self.connection.lost()
        return super().close()

    def cut(self):
        self.connection.lost()
        self.drop()

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


class Responder:
    body_bytes_max = 1000


class Authenticator:
    async def authenticate(self, token):
        return requester(ALICE)


class Filters:
    async def chosen(self, user_id, text):
        return parse_filter(text or {})


class House:
    """A server, a client of it that notes what it is told, and ways to disturb them."""

    def __init__(self):
        self.world = World()
        self.failures = []
        self.tasks = Tasks(self.failures.append)
        self.wires = []
        self.sent = []
        self.seen = []

    async def start(self):
        await self.world.start()
        self.world.create(ROOM, ALICE)
        self.client = Client(
            "http://nowhere", access_token="alice", dial=self.dial, randomness=Chance(), pause=self.pause
        )
        await self.client.open()
        self.stream = self.client.sync()

    async def dial(self):
        services = Services(
            responder=Responder(),
            authenticator=Authenticator(),
            sync=self.world.sync,
            filters=Filters(),
            tasks=self.tasks,
        )
        self.wires.append(JoinedWire(services))
        return self.wires[-1]

    async def pause(self, seconds):
        await asyncio.sleep(0)

    async def send(self):
        self.sent.append(self.world.send(ROOM, ALICE, body="x"))

    async def send_many(self):
        for _ in range(150):  # more than one delta takes
            await self.send()

    async def cut(self):
        self.wires[-1].cut()

    async def restart(self):
        self.wires[-1].cut()
        await self.world.start()

    async def settle(self):
        await settle()

    async def read(self):
        self.note(await anext(self.stream))

    def note(self, delta):
        self.seen += [event.event_id for event in delta.timeline() if event.type == "m.room.message"]

    async def read_all(self):
        async with asyncio.timeout(5):
            while len(self.seen) < len(self.sent):
                await self.read()

    async def close(self):
        await self.client.close()
        await self.tasks.close()
        self.world.notifier.stop()


async def _live_through(actions):
    house = House()
    await house.start()
    await house.read()
    for action in actions:
        if action != "read" or len(house.seen) < len(house.sent):
            await getattr(house, action)()
    await house.read_all()
    for _ in range(3):
        await house.settle()
    waiting = list(house.stream._waiting)
    await house.close()
    assert house.failures == []
    assert house.seen == house.sent
    assert not any("rooms" in pushed.body for pushed in waiting)


_actions = st.lists(
    st.sampled_from(["send", "send", "send_many", "cut", "restart", "settle", "read"]), max_size=25
)
MANY_MAX = 5
"""Of more than the server has at hand for a user who does not read there is a gap."""


@settings(max_examples=60, phases=[phase for phase in Phase if phase is not Phase.shrink])
@given(_actions.filter(lambda actions: actions.count("send_many") <= MANY_MAX))
def test_whatever_goes_wrong_each_event_is_told_once_and_in_order(actions):
    asyncio.run(_live_through(actions))
