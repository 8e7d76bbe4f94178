"""What sending to other servers costs: `python -m tests.benchmarks.federation_sender`.

A server's rooms with a PostgreSQL of their own; other servers take signed requests, without a wire and TLS.
CPU is that of the server's process alone. Fails if something is over its goal.
"""

import asyncio
import gc
import time

import uvloop

from federation.client.client import FederationClient
from federation.client.ports import Answer
from federation.client.transactions import Transactions
from homeserver.core.errors import Unavailable
from homeserver.rooms.commands import Draft
from homeserver.runtime.clock import SystemClock
from tests.benchmarks.ground import end, ground, say
from tests.doubles.sending import ALICE, SendingServer
from tests.factory.room_timeline import signing_key_of

EVENTS = 2_000
AT_ONCE = 10
ROUNDS = 5
EVENT_MS_MAX = 1.0
CATCH_UP_S_MAX = 5.0
_ANSWER = Answer(200, b'{"pdus":{}}')


class Servers:
    """Every other server: takes what comes after a while, unless it is down."""

    def __init__(self):
        self.is_down = False
        self.requests = 0

    async def exchange(self, destination, request):
        del destination, request
        await asyncio.sleep(0.005)
        if self.is_down:
            raise Unavailable("It does not answer.")
        self.requests += 1
        return _ANSWER


class MeasuredServer(SendingServer):
    """Sends by the real client."""

    def __init__(self, database, servers):
        super().__init__(database, SystemClock())
        self.servers = servers

    async def start_sender(self):
        await super().start_sender()
        client = FederationClient(
            server_name=self.name, key=signing_key_of(self.name), exchanges=self.servers,
            availability=self.destinations, may_ask=lambda _: True,
        )  # fmt: skip
        self.sender._delivery._transactions = Transactions(client)
        self.sender._delivery._linger_ms = 10

    async def talk(self, room_id, count, at_once=AT_ONCE):
        """Say so much in a room; returns once all of it has arrived everywhere."""
        draft = Draft("m.room.message", ALICE, {"msgtype": "m.text", "body": "hello " * 10})
        for _ in range(count // at_once):
            await asyncio.gather(*[self.registry.send(room_id, draft) for _ in range(at_once)])
            if at_once == 1:
                await until(lambda: not self.has_work)
        await until(lambda: self.servers.is_down or not self.has_work)

    @property
    def has_work(self):
        return any(queue.has_work for queue in self.sender.queues.values())

    async def cost_ms(self, room_id, count=EVENTS // ROUNDS, at_once=AT_ONCE):
        """The CPU of this process for an event."""
        gc.collect()
        before = time.process_time()
        await self.talk(room_id, count, at_once)
        return (time.process_time() - before) * 1_000 / count


async def until(condition):
    """Wait for something, at little cost."""
    while not condition():  # noqa: ASYNC110 - what is measured must not have to tell
        await asyncio.sleep(0.002)


async def rooms_with(server, *counts):
    """Make a room for each number of other servers, with so many in it."""
    rooms = []
    for count in counts:
        room_id = await server.create(ALICE, preset="public_chat")
        for number in range(count):
            await server.let_in(room_id, f"@bob:s{number}.example")
        rooms.append(room_id)
        await server.talk(room_id, 100)
    return rooms


async def measure_events(server, missed):
    """Measure rooms of ours alone, and rooms with others, in turns: the machine has others on it."""
    alone, one, ten = await rooms_with(server, 0, 1, 10)
    readers = server.published.readers
    costs = {"alone": [], "unfollowed": [], "one": [], "ten": [], "lone event": [], "lone event sent": []}
    for _ in range(ROUNDS):
        costs["alone"].append(await server.cost_ms(alone))
        server.published.readers = []
        costs["unfollowed"].append(await server.cost_ms(alone))
        server.published.readers = readers
        costs["one"].append(await server.cost_ms(one))
        costs["ten"].append(await server.cost_ms(ten))
        costs["lone event"].append(await server.cost_ms(alone, 100, 1))
        costs["lone event sent"].append(await server.cost_ms(one, 100, 1))
    best = {name: min(found) for name, found in costs.items()}
    say("| event in a room with | CPU ms | of it for sending |\n|---|---|---|")
    say(f"| no other server, sender off | {best['unfollowed']:.3f} | |")
    for name, label in (("alone", "no other server"), ("one", "1 other server"), ("ten", "10 other servers")):
        say(f"| {label} | {best[name]:.3f} | {best[name] - best['unfollowed']:.3f} |")
    lone_ms = best["lone event sent"] - best["lone event"]
    say(f"| 1 other server, one event a transaction | {best['lone event sent']:.3f} | {lone_ms:.3f} |")
    if max(lone_ms, best["one"] - best["unfollowed"]) > EVENT_MS_MAX:
        missed.append("an event for one other server")
    return one


async def measure_catch_up(server, room_id, missed):
    """Measure how long a server takes to get what it lacks."""
    server.servers.is_down = True
    await server.talk(room_id, EVENTS)
    await until(lambda: not any(queue.live for queue in server.sender.queues.values()))
    server.servers.is_down, server.servers.requests = False, 0
    wall, cpu = time.perf_counter(), time.process_time()
    server.destinations.reset("s0.example")
    await until(lambda: not server.has_work)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    requests = server.servers.requests
    say(f"\nCatch-up of {EVENTS} events: {wall:.2f} s, {cpu:.2f} s of CPU, {requests} transactions.")
    if wall > CATCH_UP_S_MAX or requests < EVENTS // 50:
        missed.append("catch-up")


async def run():
    missed = []
    async with ground("federation-sender") as prepared:
        server = await MeasuredServer(prepared.database, Servers()).start()
        one = await measure_events(server, missed)
        await measure_catch_up(server, one, missed)
        server.servers.is_down = False
        await server.stop()
    end(missed)


if __name__ == "__main__":
    uvloop.run(run())
