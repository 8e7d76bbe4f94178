"""Two people chat over the WebSocket: requests as frames, messages as pushed deltas."""

import asyncio
import contextlib
import sys
from pathlib import Path

import pytest

from clients.websocket_client.client import Client

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(150)]


class Person:
    """Sends, and notes what the stream tells; the client comes back by itself."""

    def __init__(self, client):
        self.client = client
        self.seen = []
        self.acknowledged = {}

    async def watch(self):
        async for delta in self.client.sync():
            for event in delta.timeline():
                if event.type == "m.room.message":
                    self.seen.append((event.event_id, event.body))

    async def send_all(self, room_id, count):
        for number in range(count):
            body = f"{self.client.user_id} {number}"
            self.acknowledged[body] = await self.client.send_text(room_id, body)

    async def until_seen(self, count):
        async with asyncio.timeout(60):
            while len(self.seen) < count:  # noqa: ASYNC110 - a count, not an event, is due
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def two_people(server):
    async with Client(server.base_url) as first, Client(server.base_url) as second:
        people = [Person(first), Person(second)]
        for person, name in zip(people, ("alice", "bob"), strict=True):
            await person.client.register(name, "a password for all of them")
        tasks = [asyncio.create_task(person.watch()) for person in people]
        yield people
        for task in tasks:
            assert not task.done(), task.result()
            task.cancel()
        await asyncio.wait(tasks)


async def _meet(alice, bob):
    room_id = await alice.client.create_room(name="WebSocket", invite=[bob.client.user_id])
    await bob.client.join(room_id)
    return room_id


def _check(alice, bob, count):
    assert alice.seen == bob.seen
    assert len(alice.seen) == len(set(alice.seen)) == 2 * count
    acknowledged = {(event_id, body) for one in (alice, bob) for body, event_id in one.acknowledged.items()}
    assert set(alice.seen) == acknowledged
    for person in (alice, bob):
        own = [body for _, body in alice.seen if body.startswith(person.client.user_id)]
        assert own == [f"{person.client.user_id} {number}" for number in range(count)]


async def test_500_messages_each_way_at_once_over_the_websocket(server):
    async with two_people(server) as (alice, bob):
        room_id = await _meet(alice, bob)
        await asyncio.gather(alice.send_all(room_id, 500), bob.send_all(room_id, 500))
        await asyncio.gather(alice.until_seen(1000), bob.until_seen(1000))

    _check(alice, bob, 500)


async def test_the_websocket_resumes_after_kill_minus_nine_without_loss_or_repetition(server):
    async with two_people(server) as (alice, bob):
        room_id = await _meet(alice, bob)
        # What is sent after the restart is more than one delta holds, for who comes back last.
        sending = asyncio.gather(alice.send_all(room_id, 300), bob.send_all(room_id, 300))
        while min(len(alice.acknowledged), len(bob.acknowledged)) < 80:  # noqa: ASYNC110 - a count, not an event, is due
            await asyncio.sleep(0.001)
        server.kill()
        await asyncio.to_thread(server.start)
        await sending
        await asyncio.gather(alice.until_seen(600), bob.until_seen(600))

    _check(alice, bob, 300)


async def test_the_bot_of_the_documentation_answers(server, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "websocket.md").read_text("utf-8")
    program = page.split("```python\n")[1].split("```")[0].replace("http://127.0.0.1:8008", server.base_url)
    (tmp_path / "bot.py").write_text(program)
    async with Client(server.base_url) as alice, Client(server.base_url) as echo:
        await echo.register("echo", "correct horse battery staple")
        await alice.register("alice", "a password for all of them")
        await alice.create_room(invite=[echo.user_id])
        bot = await asyncio.create_subprocess_exec(sys.executable, tmp_path / "bot.py")
        try:
            async with asyncio.timeout(60):
                answer = await _greet_and_hear(alice, echo.user_id)
        finally:
            bot.terminate()
            await bot.wait()

    assert answer == f"{alice.user_id} said: hello"


async def _greet_and_hear(alice, other):
    async for delta in alice.sync():
        for event in delta.timeline():
            if event.type == "m.room.member" and event.sender == other:
                await alice.send_text(event.room_id, "hello")
            elif event.type == "m.room.message" and event.sender == other:
                return event.body
    return None
