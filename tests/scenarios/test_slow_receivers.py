"""Receivers that stop reading: they cost the server a bounded amount of memory, and get everything later."""

import asyncio
import itertools
from urllib.parse import quote

import aiohttp
import orjson
import pytest

from clients.load.api import MatrixApi
from clients.load.measure import resident_bytes
from clients.websocket_client.calls import path
from clients.websocket_client.client import Client
from clients.websocket_client.wire import dial

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(300)]

WARM_UP = 1_500
MESSAGES = 2_000
BODY = "x" * 1_000
GROWTH_BYTES_MAX = 8 * 2**20
AT_ONCE = 16


class Sender:
    """Fills a room, and knows from its history what is in it."""

    def __init__(self, http, server):
        self.api = MatrixApi(http, server.base_url)
        self.room_id = ""
        self._numbers = itertools.count()

    async def begin(self):
        await self.api.register("sender", None)
        self.room_id = await self.api.create_private_room("Slow")

    async def send(self, count):
        numbers = iter(range(count))

        async def send():
            for _ in numbers:
                await self.api.send(self.room_id, f"t{next(self._numbers)}", BODY)

        await asyncio.gather(*(send() for _ in range(AT_ONCE)))

    async def history(self):
        found, token = [], ""
        while token is not None:
            asked = (
                path("rooms", self.room_id, "messages")
                + f"?dir=f&limit=1000{token and '&from=' + quote(token)}"
            )
            page = await self.api.call("GET", asked)
            found += [event["event_id"] for event in page["chunk"] if event["type"] == "m.room.message"]
            token = page.get("end")
        return found


class Picture:
    """The messages of a room as a client comes to know them; gaps are filled as the specification says."""

    def __init__(self, room_id, request):
        self.events = []
        self.gaps = 0
        self.token = None
        self._room_id = room_id
        self._request = request

    async def take(self, body):
        timeline = body.get("rooms", {}).get("join", {}).get(self._room_id, {}).get("timeline", {})
        new = [event["event_id"] for event in timeline.get("events", ()) if event["type"] == "m.room.message"]
        if timeline.get("limited") and self.events:
            self.gaps += 1
            self.events += await self._missing(timeline["prev_batch"])
        self.events += new
        self.token = body["next_batch"]

    async def _missing(self, token):
        found = []
        while True:
            asked = path("rooms", self._room_id, "messages") + f"?dir=b&limit=200&from={quote(token)}"
            page = await self._request("GET", asked)
            for event in page["chunk"]:
                if event["event_id"] == self.events[-1]:
                    return found[::-1]
                found.append(event["event_id"])
            token = page["end"]


class WebSocketReader:
    """Our client, whose socket can be left unread."""

    def __init__(self, http, server, sender):
        self._http = http
        self._base_url = server.base_url
        self._sender = sender
        self._wire = None

    async def begin(self):
        self._client = Client(self._base_url, dial=self._dial)
        await self._client.open()
        await self._client.register("reader", "a password for this one")
        await self._client.join(self._sender.room_id)
        self.picture = Picture(self._sender.room_id, self._client.request)
        self._reading = asyncio.create_task(self._read())

    async def _dial(self):
        self._wire = await dial(self._http, self._base_url)
        return self._wire

    async def _read(self):
        async for delta in self._client.sync():
            await self.picture.take(delta.body)

    async def stop_reading(self):
        self._wire._socket._response.connection.transport.pause_reading()

    async def read_again(self):
        transport = self._wire._socket._response.connection.transport
        if transport is not None:  # the server may have hung up meanwhile
            transport.resume_reading()

    async def end(self):
        self._reading.cancel()
        await asyncio.wait([self._reading])
        await self._client.close()


class LongPollReader:
    """Asks for the next sync over and over, without reading a single answer if it stops."""

    unread = 200

    def __init__(self, http, server, sender):
        self._api = MatrixApi(http, server.base_url)
        self._port = server.port
        self._sender = sender
        self._stopped = None

    async def begin(self):
        await self._api.register("reader", None)
        await self._api.join(self._sender.room_id)
        self.picture = Picture(self._sender.room_id, self._api.call)
        self._reading = asyncio.create_task(self._read())

    async def _read(self):
        while True:
            await self.picture.take(await self._api.sync(self.picture.token, 5_000))

    async def stop_reading(self):
        self._reading.cancel()
        await asyncio.wait([self._reading])
        reader, self._stopped = await asyncio.open_connection("127.0.0.1", self._port, limit=1024)
        query = f"timeout=30000&since={self.picture.token}&filter=" + quote(
            '{"room":{"timeline":{"limit":1000}}}'
        )
        lines = [
            f"GET {path('sync')}?{query} HTTP/1.1",
            "Host: x",
            f"Authorization: Bearer {self._api.access_token}",
        ]
        head = "\r\n".join([*lines, "", ""])
        self._unread = reader
        self._stopped.write(head.encode() * self.unread)

    async def read_again(self):
        head = await self._unread.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        (length,) = (
            int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
        )
        await self.picture.take(orjson.loads(await self._unread.readexactly(length)))
        self._stopped.close()
        self._reading = asyncio.create_task(self._read())

    async def end(self):
        self._reading.cancel()
        await asyncio.wait([self._reading])


async def _until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a count, not an event, is due
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("kind", [WebSocketReader, LongPollReader])
async def test_who_stops_reading_costs_little_and_gets_everything_later(server, kind):
    async with aiohttp.ClientSession() as http:
        sender = Sender(http, server)
        await sender.begin()
        reader = kind(http, server, sender)
        await reader.begin()
        await sender.send(WARM_UP)
        await _until(lambda: len(reader.picture.events) == WARM_UP)

        await reader.stop_reading()
        before_bytes = resident_bytes((server.process.pid,))
        await sender.send(MESSAGES)
        grown_bytes = resident_bytes((server.process.pid,)) - before_bytes
        seen_meanwhile = len(reader.picture.events)

        await reader.read_again()
        await _until(lambda: len(reader.picture.events) >= WARM_UP + MESSAGES)
        told = list(reader.picture.events)
        await reader.end()

        assert told == await sender.history()
        assert seen_meanwhile < WARM_UP + MESSAGES // 2
        assert grown_bytes < GROWTH_BYTES_MAX
