"""The server's end of the WebSocket client, in the hands of a test."""

import asyncio

import orjson

from clients.websocket_client.client import Client
from clients.websocket_client.errors import ConnectionLost

UP = {"versions": ["v1.19"]}


class FakeWire:
    def __init__(self):
        self.said = []
        self.is_closed = False
        self._incoming = asyncio.Queue()

    async def send(self, text):
        if self.is_closed:
            raise ConnectionLost("closed")
        self.said.append(orjson.loads(text))

    async def receive(self):
        what = await self._incoming.get()
        if isinstance(what, Exception):
            self.is_closed = True
            raise what
        return what

    async def close(self):
        self.is_closed = True
        self._incoming.put_nowait(ConnectionLost("closed"))

    def push(self, *frames):
        for frame in frames:
            self._incoming.put_nowait(orjson.dumps(frame).decode())

    def deliver(self, *tokens):
        self.push(*({"sync": {"next_batch": token}} for token in tokens))

    def answer(self, place=-1, status=200, **body):
        """Answer one of the requests said so far."""
        request = self.requests[place]
        self.push({"id": request["id"], "status": status, "body": body})

    def drop(self, error=None):
        self._incoming.put_nowait(error or ConnectionLost("cut"))

    @property
    def requests(self):
        return [frame for frame in self.said if "method" in frame]

    def take(self):
        said, self.said = self.said, []
        return said


class Peer:
    """Takes the client's calls; `wires` are all that it made, the newest last."""

    def __init__(self):
        self.wires = []
        self.refusals = []
        self.pauses = []

    async def dial(self):
        if self.refusals:
            raise self.refusals.pop(0)
        self.wires.append(FakeWire())
        return self.wires[-1]

    async def pause(self, seconds):
        self.pauses.append(seconds)

    @property
    def wire(self):
        return self.wires[-1]

    def client(self, **more):
        return Client("http://nowhere", dial=self.dial, randomness=Chance(), pause=self.pause, **more)


class Chance:
    def token_bytes(self, length_bytes):
        return b"\xff" * length_bytes

    def token_urlsafe(self, entropy_bytes):
        return "t"


async def settle():
    for _ in range(30):
        await asyncio.sleep(0)


async def soon(awaitable):
    """Start something that a test goes on beside."""
    task = asyncio.ensure_future(awaitable)
    await settle()
    return task
