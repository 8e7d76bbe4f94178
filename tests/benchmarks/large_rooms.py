"""What a room of 100,000 members costs: `python -m tests.benchmarks.large_rooms`, run by `make bench-rooms`.

Builds the room on a PostgreSQL of its own, then measures disk, memory and CPU: that of this process, which
holds the whole server without a socket, and that of PostgreSQL's. Fails if something is over its goal.

    python -m tests.benchmarks.large_rooms [members]
"""

import asyncio
import gc
import itertools
import random
import sys
import time
import tracemalloc
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import psycopg
import uvloop

from homeserver.config.model import SpamLimitsSection
from homeserver.core.positions import pagination_token
from homeserver.core.requester import Requester
from homeserver.rooms.commands import Draft
from homeserver.runtime.clock import SystemClock
from storage.tables.state_groups import StateGroups
from tests.benchmarks import ground
from tests.benchmarks.ground import say
from tests.doubles.rooms import V3, RoomsServer
from tests.factory.large_room import OURS, Story, build_large_room

MEMBERS = 100_000
MEGABYTE = 1_000_000
STATE_MB_MAX = 40
STATE_MS_MAX = 10
CHANGE_MS_MAX = 2
ACTOR_MB_MAX = 60
STEP_MS_MAX = 50
"""No answer may keep the others waiting for longer, however many members it tells."""
LAST_STEP_MS_MAX = 500
"""But where a sync tells all members: it is put together in one step, once all is read and encoded."""

SENDS = 10_000
CHANGES = 100
CHANGE_ROUNDS = 10
OLD_STATES = 200
ROUNDS = 3
_TICK_S = 0.001
_MESSAGE = {"msgtype": "m.text", "body": "hello everybody"}


@dataclass
class Cost:
    """What one operation took: the best of several rounds."""

    cpu_ms: float
    postgres_ms: float
    step_ms: float = 0.0


def short(number):
    """Three digits, or the whole number if it is long."""
    return f"{number:,.0f}" if number >= 1_000 else f"{number:.3g}"


class Table:
    """Collects the lines and what is over its goal."""

    def __init__(self):
        self.missed = []
        say("| what | measured | goal |\n|---|---|---|")

    def add(self, what, measured, goal=None, unit="", note=""):
        if goal is not None and measured > goal:
            self.missed.append(what)
        aim = "" if goal is None else f"≤ {goal:,} {unit}"
        say(f"| {what} | {short(measured)} {unit}{note} | {aim} |")

    def add_cost(self, what, cost, goal=None, note="", step_ms_max=STEP_MS_MAX):
        """Add CPU of the server, with that of PostgreSQL and the longest step of the loop as a note."""
        more = f", PostgreSQL {short(cost.postgres_ms)} ms"
        if cost.step_ms:
            more += f", longest step {short(cost.step_ms)} ms"
        self.add(what, cost.cpu_ms, goal, "ms", more + note)
        if cost.step_ms > step_ms_max:
            self.missed.append(f"{what}: a step of {cost.step_ms:.0f} ms")


class Steps:
    """Finds the longest step of the loop, in CPU: others on the machine do not count."""

    def __init__(self, *, watches):
        self.longest_s = 0.0
        self._watches = watches

    async def __aenter__(self):
        if self._watches:
            self._task = asyncio.create_task(self._watch())
            await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *error):
        if self._watches:
            self._task.cancel()

    async def _watch(self):
        while True:
            before = time.thread_time()
            await asyncio.sleep(_TICK_S)
            self.longest_s = max(self.longest_s, time.thread_time() - before - _TICK_S)


class Bench:
    """The room, and the server that holds it."""

    def __init__(self, place, rooms, table):
        self.database = place.database
        self.room, self.small = rooms
        self.table = table
        self.directory = place.directory
        self.meter = place.meter
        self.chance = random.Random(7)
        self.path = f"/rooms/{quote(self.room.room_id)}"
        self.ours = ours_of(self.room)
        self.newcomers = itertools.count()

    async def cost(self, operation, *, times=1, rounds=ROUNDS):
        """Measure a coroutine function; the best round counts, per operation."""
        costs = []
        for _ in range(rounds):
            gc.collect()
            async with Steps(watches=times == 1) as steps:
                postgres, before = self.meter.read().postgres_s, time.process_time()
                for _ in range(times):
                    await operation()
                cpu_s = time.process_time() - before
                postgres_s = self.meter.read().postgres_s - postgres
            costs.append(Cost(cpu_s * 1e3 / times, postgres_s * 1e3 / times, steps.longest_s * 1e3))
        return best(costs)

    async def start(self):
        gc.collect()
        gc.freeze()  # as a server does at its start: what was built is nothing to be walked through
        server = RoomsServer(self.database, self.directory)
        server.configuration = replace(server.configuration, spam_limits=SpamLimitsSection(enabled=False))
        self.server = await server.start()
        self.rooms = self.server.services.rooms
        name = self.chance.choice(self.ours)[1:].partition(":")[0]
        self.member = await self.server.user(name)

    async def run(self):
        await self.measure_disk()
        await self.measure_old_states()
        await self.start()
        try:
            await self.measure_actor()
            await self.measure_changes()
            await self.measure_reads()
            await self.measure_syncs()
        finally:
            await self.server.close()

    async def measure_disk(self):
        async with await psycopg.AsyncConnection.connect(self.database.dsn, autocommit=True) as connection:
            await connection.execute("VACUUM ANALYZE")
            sizes = {}
            for name in ("current_state", "state_changes", "state_groups"):
                cursor = await connection.execute("SELECT pg_total_relation_size(%s)", [name])
                (sizes[name],) = await cursor.fetchone()
        parts = ", ".join(f"{name} {size / MEGABYTE:.1f}" for name, size in sizes.items())
        whole = sum(sizes.values()) / MEGABYTE
        self.table.add("state tables and their indexes", whole, STATE_MB_MAX, "MB", f" ({parts})")

    async def measure_old_states(self):
        positions = self.chance.sample(sorted(self.room.groups), OLD_STATES)
        rows = await self.database.fetch(
            "SELECT DISTINCT state_key_nid FROM state_changes WHERE type_nid ="
            " (SELECT nid FROM interned_types WHERE text = 'm.room.member') ORDER BY 1"
        )
        asked = "SELECT nid FROM interned_types WHERE text = 'm.room.member'"
        (type_nid,) = await self.database.fetch_one(asked)
        keys = [type_nid << 32 | nid for (nid,) in self.chance.sample(rows, min(len(rows), 100))]
        groups = StateGroups(self.database)
        asked = [self.room.groups[position] for position in positions]

        async def cold():
            empty = StateGroups(self.database)
            (await empty.chain(self.room.room_nid, self.chance.choice(asked))).items()

        async def whole():
            (await groups.chain(self.room.room_nid, self.chance.choice(asked))).items()

        async def keyed():
            chain = await groups.chain(self.room.room_nid, self.chance.choice(asked))
            for key in keys:
                chain.get(key)

        for group in asked:
            await groups.chain(self.room.room_nid, group)
        warm = await self.cost(whole, times=50)
        self.table.add_cost("whole state at an old event, warm", warm, STATE_MS_MAX)
        self.table.add_cost("the same, nothing of the room at hand", await self.cost(cold, times=20))
        self.table.add_cost("100 keys of a state at an old event, warm", await self.cost(keyed, times=200))

    async def measure_actor(self):
        registry, room_id = self.rooms.registry, self.room.room_id
        gc.collect()
        tracemalloc.start()
        actor = await registry.actor(room_id)
        gc.collect()
        loaded = tracemalloc.get_traced_memory()[0] / MEGABYTE
        tracemalloc.stop()
        self.table.add("memory of the actor, loaded", loaded, ACTOR_MB_MAX, "MB")
        registry.drop(actor)
        del actor

        async def load():
            registry.drop(await registry.actor(room_id))

        self.table.add_cost("loading the actor", await self.cost(load, times=20))
        send = self._sender(self.room)
        tracemalloc.start()
        for _ in range(SENDS):
            await send()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] / MEGABYTE
        tracemalloc.stop()
        note = ", what the rest of the server remembers of them included"
        what = f"memory after {SENDS:,} messages of as many members"
        self.table.add(what, grown, ACTOR_MB_MAX, "MB", note)

    def _sender(self, room):
        """Send, each time as another member of ours."""
        senders = itertools.cycle(self.chance.sample(ours_of(room), min(SENDS, len(ours_of(room)))))

        async def send():
            draft = Draft("m.room.message", next(senders), dict(_MESSAGE))
            await self.rooms.registry.send(room.room_id, draft)

        return send

    async def measure_changes(self):
        """Measure what changes the room, in this one and in a small one: size should make no difference."""
        here, there = self._changes(self.room), self._changes(self.small)
        for what, change in here.items():
            # Many short rounds in turn, as others use the machine. Who goes has joined before.
            costs, small_costs = [], []
            for _ in range(CHANGE_ROUNDS // 2 if what in {"a leave", "a kick"} else CHANGE_ROUNDS):
                small_costs.append(await self.cost(there[what], times=CHANGES, rounds=1))
                costs.append(await self.cost(change, times=CHANGES, rounds=1))
            small = best(small_costs)
            size = len(self.small.members)
            note = f"; in a room of {size}: {small.cpu_ms:.3g} and {small.postgres_ms:.3g} ms"
            self.table.add_cost(what, best(costs), CHANGE_MS_MAX, note)

    def _changes(self, room):
        membership, came, ours = self.rooms.membership, [], ours_of(room)

        async def join():
            user_id = f"@newcomer{next(self.newcomers)}:{OURS}"
            came.append(user_id)
            await self.rooms.entry.joining.join(requester(user_id), room.room_id)

        async def rename():
            profile = {"displayname": f"New {next(self.newcomers)}"}
            await membership._propagate(room.room_id, self.chance.choice(ours), profile)

        async def leave():
            await membership.leave(requester(came.pop()), room.room_id)

        async def kick():
            await membership.kick(requester(room.members[0]), room.room_id, came.pop())

        return {
            "a message, each of another member": self._sender(room), "a join": join,
            "a change of profile": rename, "a leave": leave, "a kick": kick,
        }  # fmt: skip

    async def measure_reads(self):
        for what, path in (
            ("/members", "/members"),
            ("/members half-way through the timeline", f"/members?at={self._half_way()}"),
            ("/joined_members", "/joined_members"),
            ("/state", "/state"),
            (
                "/messages, a page of 100, lazy-loading",
                '/messages?dir=b&limit=100&filter={"lazy_load_members":true}',
            ),
        ):
            await self._measure_read(what, self.path + path)

    def _half_way(self):
        positions = sorted(self.room.groups)
        return pagination_token(positions[len(positions) // 2])

    async def measure_syncs(self):
        lazy = quote('{"room":{"timeline":{"limit":20},"state":{"lazy_load_members":true}}}')
        await self._measure_read("initial /sync, lazy-loading", f"/sync?filter={lazy}", forget=True)
        await self._measure_read("the same again", f"/sync?filter={lazy}")
        await self._measure_read("initial /sync of all members", "/sync", step_ms_max=LAST_STEP_MS_MAX)
        registry = self.rooms.registry
        since = (await self.member.get(f"/sync?filter={lazy}"))["next_batch"]

        async def follow():
            nonlocal since
            user_id = self.chance.choice(self.ours)
            content = {"membership": "join", "displayname": f"N{next(self.newcomers)}"}
            draft = Draft("m.room.member", user_id, content, user_id)
            await registry.send(self.room.room_id, draft)
            since = (await self.member.get(f"/sync?filter={lazy}&since={since}"))["next_batch"]

        what = "a change of profile and an incremental /sync that tells it"
        self.table.add_cost(what, await self.cost(follow, times=100))

    async def _measure_read(self, what, path, *, forget=False, step_ms_max=STEP_MS_MAX):
        sizes = []

        async def read():
            if forget:
                self.server.storage.notifier.members._rooms.clear()
            body = await ground.ask(self.server, self.member.token, "GET", V3 + path)
            sizes.append(len(body))

        before = peak_mb(reset=True)
        cost = await self.cost(read)
        more_mb = max(0, peak_mb() - before)
        note = f", {sizes[-1] / MEGABYTE:,.3g} MB of JSON, {more_mb:,.0f} MB more resident at the peak"
        self.table.add_cost(what, cost, note=note, step_ms_max=step_ms_max)


def best(costs):
    return min(costs, key=lambda cost: cost.cpu_ms)


def ours_of(room):
    """Members of ours, the creator left out."""
    return [user_id for user_id in room.members[1:] if user_id.endswith(f":{OURS}")]


def requester(user_id):
    return Requester(user_id, "DEVICE", 1)


def peak_mb(*, reset=False):
    """Tell the most memory that was resident since the last reset."""
    if reset:
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1_000


async def main(members):
    table = Table()
    async with ground.ground("large-room") as place:
        some = members // 20
        story = Story(members, messages=some, profile_changes=some, leaves=some)
        before = time.process_time()
        room = await build_large_room(place.database, story, SystemClock())
        took_s = time.process_time() - before
        table.add(f"building the room of {len(room.members):,} members", took_s, None, "s")
        small = await build_large_room(place.database, Story(40, seed=2), SystemClock())
        await Bench(place, (room, small), table).run()
    ground.end(table.missed)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else MEMBERS))
