"""What rooms shared by two of our servers cost: `python -m tests.benchmarks.federation`.

Run by `make bench-federation`: two processes with a PostgreSQL each, TLS between them on loopback. Counted is
the CPU of either side, its clients' requests included. Fails if something is over its goal.

    python -m tests.benchmarks.federation [join] [live] [catch-up]
"""

import asyncio
import itertools
import os
import sys
import time
from dataclasses import dataclass
from urllib.parse import quote

import aiohttp
import uvloop

from clients.load.measure import CpuMeter, Latencies
from tests.benchmarks.ground import end, say
from tests.scenarios.federation.conftest import running
from tests.scenarios.federation.servers import Isthmus

MEMBERS, OTHERS = 1_000, 2_000
JOIN_WALL_S_MAX, JOIN_CPU_S_MAX = 5.0, 3.0
RATE, SECONDS = 100, 20
DELIVERY_P99_MS_MAX, CPU_MS_MAX = 150.0, 1.0
MISSED, CATCH_UP_S_MAX = 2_000, 5.0
_AT_ONCE = 20
_GIVE_UP_S = 60
_V3 = "/_matrix/client/v3"
_numbers = itertools.count()


@dataclass
class User:
    """Somebody on one of the servers."""

    http: aiohttp.ClientSession
    base_url: str
    token: str
    user_id: str

    @classmethod
    async def come(cls, http, server, name):
        body = {"username": name, "password": "a long password", "auth": {"type": "m.login.dummy"}}
        async with http.post(f"{server.base_url}{_V3}/register", json=body) as answer:
            made = await answer.json()
        return cls(http, server.base_url, made["access_token"], made["user_id"])

    async def ask(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"{self.base_url}{_V3}{path}"
        async with self.http.request(method, url, json=body, headers=headers) as answer:
            content = await answer.json()
            assert answer.status == 200, content
            return content

    async def make_room(self):
        return (await self.ask("POST", "/createRoom", {"preset": "public_chat"}))["room_id"]

    async def say(self, room_id, text):
        path = f"/rooms/{quote(room_id)}/send/m.room.message/{next(_numbers)}"
        return await self.ask("PUT", path, {"msgtype": "m.text", "body": text})

    async def join(self, room_id, via):
        return await self.ask("POST", f"/join/{quote(room_id)}?server_name={via}", {})


def meter_of(server):
    """Counts what a server takes, and its PostgreSQL apart."""
    postmaster = next(server.directory.rglob("postmaster.pid"))
    return CpuMeter(
        server_pids=(server.process.pid,), postgres_pids=(int(postmaster.read_text().split()[0]),)
    )


async def at_once(calls):
    """Await many, some of them at a time."""
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(call):
        async with turn:
            return await call

    return await asyncio.gather(*map(one, calls))


async def measure_join(http, here, there):
    """A user comes into a large room of the other server."""
    creator = await User.come(http, there, f"creator{next(_numbers)}")
    room_id = await creator.make_room()
    members = await at_once(User.come(http, there, f"member{next(_numbers)}") for _ in range(MEMBERS - 1))
    await at_once(one.join(room_id, there.name) for one in members)
    state, text = f"/rooms/{quote(room_id)}/state/org.example.setting/", "x" * 40
    await at_once(
        creator.ask("PUT", f"{state}key{number}", {"value": number, "text": text}) for number in range(OTHERS)
    )
    user = await User.come(http, here, f"user{next(_numbers)}")
    meter = meter_of(here)
    before, started = meter.read(), time.perf_counter()
    await user.join(room_id, there.name)
    wall_s = time.perf_counter() - started
    spent = meter.read().since(before)
    joined = await user.ask("GET", f"/rooms/{quote(room_id)}/joined_members")
    assert len(joined["joined"]) == MEMBERS + 1
    cpu_s = spent.server_s + spent.postgres_s
    say(
        f"| join of {MEMBERS} members and {OTHERS} more state events |"
        f" {wall_s:.2f} s (goal {JOIN_WALL_S_MAX:.0f}) |"
        f" {spent.server_s:.2f} s + PostgreSQL {spent.postgres_s:.2f} s (goal {JOIN_CPU_S_MAX:.0f}) |"
    )
    return over(("wall of the join", wall_s, JOIN_WALL_S_MAX), ("CPU of the join", cpu_s, JOIN_CPU_S_MAX))


def over(*figures):
    """Those that are over their goals, in words."""
    return [f"{name} {value:.2f}, goal {goal:.2f}" for name, value, goal in figures if value > goal]


async def shared_room(http, here, there):
    """A room with a user of each server in it."""
    near = await User.come(http, here, f"near{next(_numbers)}")
    far = await User.come(http, there, f"far{next(_numbers)}")
    room_id = await near.make_room()
    await far.join(room_id, here.name)
    return near, far, room_id


class Reader:
    """Syncs, and notes how long messages took to come."""

    def __init__(self, user, room_id):
        self.sent_at = {}
        self.latencies = Latencies()
        self._user, self._room_id = user, room_id

    async def read(self, since, count):
        """Read until so many messages have come."""
        limit = quote('{"room":{"timeline":{"limit":1000}}}')
        while len(self.latencies) < count:
            answer = await self._user.ask("GET", f"/sync?timeout=5000&since={since}&filter={limit}")
            since, now = answer["next_batch"], time.perf_counter()
            room = answer.get("rooms", {}).get("join", {}).get(self._room_id, {})
            for event in room.get("timeline", {}).get("events", ()):
                sent_at = self.sent_at.pop(event["content"].get("body"), None)
                if sent_at is not None:
                    self.latencies.add(now - sent_at)


async def measure_live(http, here, there):
    """Messages at a steady rate, read by who syncs on the other server."""
    near, far, room_id = await shared_room(http, here, there)
    await near.say(room_id, "first")
    reader = Reader(far, room_id)
    since = (await far.ask("GET", "/sync?timeout=0"))["next_batch"]
    count = RATE * SECONDS
    reading = asyncio.create_task(reader.read(since, count))
    meters = [meter_of(one) for one in (here, there)]
    before, started = [one.read() for one in meters], time.perf_counter()

    async def send(number):
        await asyncio.sleep(max(0.0, started + number / RATE - time.perf_counter()))
        reader.sent_at[f"message {number}"] = time.perf_counter()
        await near.say(room_id, f"message {number}")

    await asyncio.gather(*map(send, range(count)))
    await asyncio.wait_for(reading, _GIVE_UP_S)
    spent = [meter.read().since(earlier) for meter, earlier in zip(meters, before, strict=True)]
    sending, receiving = ([us / 1000 for us in one.per_operation_us(count)] for one in spent)
    figures = reader.latencies.summary()
    say(
        f"| {RATE} messages/s for {SECONDS} s | p50 {figures['p50_ms']:.0f},"
        f" p99 {figures['p99_ms']:.0f} ms (goal {DELIVERY_P99_MS_MAX:.0f}) |"
        f" a message: sending side {sending[0]:.2f} ms + PostgreSQL {sending[1]:.2f},"
        f" receiving side {receiving[0]:.2f} ms + PostgreSQL {receiving[1]:.2f}"
        f" (goal {CPU_MS_MAX:.0f} ms without PostgreSQL) |"
    )
    return over(
        ("p99 of deliveries", figures["p99_ms"], DELIVERY_P99_MS_MAX),
        ("CPU of the sending side", sending[0], CPU_MS_MAX),
        ("CPU of the receiving side", receiving[0], CPU_MS_MAX),
    )


async def measure_catch_up(http, here, there):
    """What a server missed while it was down comes to it, as soon as it is heard of again."""
    near, far, room_id = await shared_room(http, here, there)
    there.stop()
    for number in range(MISSED):
        await near.say(room_id, f"missed {number}")
    there.start()
    meter = meter_of(there)
    before, started = meter.read(), time.perf_counter()
    await far.say(room_id, "I am back")
    while await count_of(far, room_id) < MISSED:
        assert time.perf_counter() - started < _GIVE_UP_S, "it does not come"
        await asyncio.sleep(0.05)
    wall_s, spent = time.perf_counter() - started, meter.read().since(before)
    say(
        f"| catch-up of {MISSED} messages | {wall_s:.2f} s (goal {CATCH_UP_S_MAX:.0f}) |"
        f" {spent.server_s:.2f} s + PostgreSQL {spent.postgres_s:.2f} s |"
    )
    return over(("catch-up", wall_s, CATCH_UP_S_MAX))


async def count_of(user, room_id):
    """How many of the messages are there; looked at from the newest on, which come last."""
    found, token = 0, ""
    while True:
        path = f"/rooms/{quote(room_id)}/messages?dir=b&limit=1000{token}"
        page = await user.ask("GET", path)
        found += sum(one["content"].get("body", "").startswith("missed") for one in page["chunk"])
        if not page["chunk"] or not page.get("end"):
            return found
        token = f"&from={page['end']}"


MEASURES = {"join": measure_join, "live": measure_live, "catch-up": measure_catch_up}


async def main(names):
    missed = []
    say(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n\n| what | wall | CPU |\n|---|---|---|")
    for name in names:
        # Each on servers of its own: none pays for what another has left.
        with running(Isthmus, Isthmus) as (here, there):
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
                missed += await MEASURES[name](http, here, there)
    end(missed)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1:] or list(MEASURES)))
