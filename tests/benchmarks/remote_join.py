"""What it costs to join a large room of another of our servers: `python -m tests.benchmarks.remote_join`.

Two whole servers without a wire, each with a PostgreSQL of its own. Counted is what the joining side takes;
what the other server works meanwhile, in the same process, is taken off. Fails if something is over its goal.

    python -m tests.benchmarks.remote_join [members] [other state events]
"""

import asyncio
import sys
import time
from dataclasses import dataclass
from urllib.parse import quote

import uvloop

from homeserver.rooms.commands import Draft
from tests.benchmarks.ground import end, ground, say
from tests.doubles.federated_servers import FederatedServer, Wire

MEMBERS, OTHERS = 1_000, 2_000
WALL_S_MAX, CPU_S_MAX = 5.0, 3.0
_AT_ONCE = 200


@dataclass
class Meter:
    """The CPU that a server takes, which runs in this process with another one."""

    cpu_s: float = 0.0
    wall_s: float = 0.0

    def around(self, respond):
        """Count what a function takes that answers requests."""

        async def counted(raw):
            cpu, wall = time.process_time(), time.perf_counter()
            try:
                return await respond(raw)
            finally:
                self.cpu_s += time.process_time() - cpu
                self.wall_s += time.perf_counter() - wall

        return counted


async def fill(server, room_id, creator, members, others):
    """Let members come in, and put other state into a room."""
    registry = server.services.rooms.registry
    drafts = []
    for number in range(members - 1):
        user_id = f"@member{number}:{server.name}"
        content = {"membership": "join", "displayname": f"Member {number}"}
        drafts.append(Draft("m.room.member", user_id, content, user_id))
    drafts += [
        Draft("org.example.setting", creator, {"value": number, "text": "x" * 40}, f"key{number}")
        for number in range(others)
    ]
    for first in range(0, len(drafts), _AT_ONCE):
        await asyncio.gather(*[registry.send(room_id, one) for one in drafts[first : first + _AT_ONCE]])


async def longest_step(ended):
    """Tell for how many milliseconds at most other work had to wait."""
    longest = 0.0
    while not ended.is_set():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, (time.perf_counter() - before) * 1000 - 1)
    return longest


async def measure(here, there, postgres, members, others):
    tess, hal = await there.user("tess"), await here.user("hal")
    room_id = await tess.create(preset="public_chat", name="Large")
    await fill(there, room_id, tess.user_id, members, others)
    await here.asks(there, "GET", "/_matrix/key/v2/server")
    meter, ended = Meter(), asyncio.Event()
    there.dispatcher.respond = meter.around(there.dispatcher.respond)
    steps = asyncio.ensure_future(longest_step(ended))
    before, cpu, wall = postgres.read(), time.process_time(), time.perf_counter()
    status, answer = await hal.try_("POST", f"/join/{quote(room_id)}?via={there.name}", {})
    wall_s = time.perf_counter() - wall
    cpu_s = time.process_time() - cpu - meter.cpu_s
    ended.set()
    assert status == 200, answer
    postgres_s = postgres.read().since(before).postgres_s
    joined = await hal.get(f"/rooms/{quote(room_id)}/joined_members")
    assert len(joined["joined"]) == members + 1
    step_ms = await steps
    say(f"join of a room of {members} members and {others} more state events")
    say(f"  wall {wall_s:.2f} s (goal {WALL_S_MAX}), of it the other server {meter.wall_s:.2f} s")
    say(f"  CPU {cpu_s:.2f} s here, {postgres_s:.2f} s of PostgreSQL (goal {CPU_S_MAX} for both)")
    say(f"  CPU of the other server {meter.cpu_s:.2f} s; longest step of both {step_ms:.0f} ms")
    missed = []
    if wall_s > WALL_S_MAX:
        missed.append(f"{wall_s:.2f} s of wall")
    if cpu_s + postgres_s > CPU_S_MAX:
        missed.append(f"{cpu_s + postgres_s:.2f} s of CPU")
    end(missed)


async def main(members=MEMBERS, others=OTHERS):
    wire = Wire()
    async with ground("join-here") as ours, ground("join-there") as theirs:
        here = await FederatedServer("here.example", ours.database, ours.directory, wire).start()
        there = await FederatedServer("there.example", theirs.database, theirs.directory, wire).start()
        try:
            await measure(here, there, ours.meter, members, others)
        finally:
            await here.close()
            await there.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*[int(one) for one in sys.argv[1:]]))
