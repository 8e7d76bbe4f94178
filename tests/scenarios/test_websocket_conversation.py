"""Two people chat over the WebSocket: requests as frames, messages as pushed deltas."""

import asyncio
import contextlib
from urllib.parse import quote

import aiohttp
import pytest

from clients.load.api import ApiError, MatrixApi
from clients.load.websocket_client import connected

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(150)]


class Person:
    """A WebSocket client that reconnects, sends again what was not answered, and notes what it sees."""

    def __init__(self, http, api):
        self.http = http
        self.api = api
        self.since = None
        self.seen = []
        self.acknowledged = {}
        self.client = None
        self.online = asyncio.Event()

    def note(self, delta):
        for room in delta.get("rooms", {}).get("join", {}).values():
            for event in room["timeline"]["events"]:
                if event["type"] == "m.room.message":
                    self.seen.append((event["event_id"], event["content"]["body"]))
        self.since = delta["next_batch"]

    async def live(self):
        while True:
            with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                async with connected(
                    self.http, self.api.base_url, self.api.access_token, self.note
                ) as client:
                    await client.start_sync(self.since, '{"room":{"timeline":{"limit":1000}}}')
                    self.client = client
                    self.online.set()
                    await client.follow()
            self.online.clear()
            await asyncio.sleep(0.05)

    async def send(self, room_id, number):
        body = f"{self.api.user_id} {number}"
        path = f"/_matrix/client/v3/rooms/{quote(room_id)}/send/m.room.message/ws{number}"
        while body not in self.acknowledged:
            await self.online.wait()
            try:
                answer = await self.client.call("PUT", path, {"msgtype": "m.text", "body": body})
            except (ApiError, ConnectionError, aiohttp.ClientError):
                await asyncio.sleep(0.05)
            else:
                self.acknowledged[body] = answer["event_id"]

    async def send_all(self, room_id, count):
        for number in range(count):
            await self.send(room_id, number)

    async def until_seen(self, count):
        async with asyncio.timeout(60):
            while len(self.seen) < count:  # noqa: ASYNC110 - a count, not an event, is due
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def two_people(server):
    async with aiohttp.ClientSession() as http:
        people = []
        for name in ("alice", "bob"):
            api = MatrixApi(http, server.base_url)
            await api.register(name, None)
            people.append(Person(http, api))
        tasks = [asyncio.create_task(person.live()) for person in people]
        for person in people:
            await person.online.wait()
        yield people
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _meet(alice, bob):
    body = {"name": "WebSocket", "invite": [bob.api.user_id]}
    room_id = (await alice.client.call("POST", "/_matrix/client/v3/createRoom", body))["room_id"]
    await bob.client.call("POST", f"/_matrix/client/v3/join/{quote(room_id)}", {})
    return room_id


def _check(alice, bob, count):
    assert alice.seen == bob.seen
    assert len(alice.seen) == len(set(alice.seen)) == 2 * count
    acknowledged = {(event_id, body) for one in (alice, bob) for body, event_id in one.acknowledged.items()}
    assert set(alice.seen) == acknowledged
    for person in (alice, bob):
        own = [body for _, body in alice.seen if body.startswith(person.api.user_id)]
        assert own == [f"{person.api.user_id} {number}" for number in range(count)]


async def test_500_messages_each_way_at_once_over_the_websocket(server):
    async with two_people(server) as (alice, bob):
        room_id = await _meet(alice, bob)
        await asyncio.gather(alice.send_all(room_id, 500), bob.send_all(room_id, 500))
        await asyncio.gather(alice.until_seen(1000), bob.until_seen(1000))

    _check(alice, bob, 500)


async def test_the_websocket_resumes_after_kill_minus_nine_without_loss_or_repetition(server):
    async with two_people(server) as (alice, bob):
        room_id = await _meet(alice, bob)
        sending = asyncio.gather(alice.send_all(room_id, 200), bob.send_all(room_id, 200))
        while len(alice.acknowledged) < 80:  # noqa: ASYNC110 - a count, not an event, is due
            await asyncio.sleep(0.001)
        server.kill()
        await asyncio.to_thread(server.start)
        await sending
        await asyncio.gather(alice.until_seen(400), bob.until_seen(400))

    _check(alice, bob, 200)
