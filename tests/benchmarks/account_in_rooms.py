"""An account in many rooms, on a server without a socket: what the benchmarks of sync measure."""

import asyncio
import gc
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg

from storage.pool import Database
from tests.benchmarks import ground
from tests.benchmarks.ground import say
from tests.doubles.rooms import RoomsServer

MEMBERS = 20
MESSAGES = 20
SETTLED_AFTER_S = 0.5
"""What the start does in the background is no part of what a request costs."""


@dataclass
class Cost:
    """What one request took, on average.

    Attributes:
        cpu_ms: of the process that holds the server.
        postgres_ms: of PostgreSQL.
        queries: how many statements it ran.
        body: the last answer.
    """

    cpu_ms: float
    postgres_ms: float
    queries: float
    body: bytes

    @property
    def whole_ms(self):
        """Both."""
        return self.cpu_ms + self.postgres_ms


class Account:
    """Somebody in many rooms."""

    def __init__(self, place):
        self._meter = place.meter
        self._dsn = place.dsn
        self._directory = place.directory
        self._queries = 0
        self.server = None
        self.token = None

    async def build(self, rooms):
        """Fill the rooms: each has a name and a topic, 20 members with profiles, and 20 messages."""
        await self.restart()
        users = [await self.server.user(f"user{number}") for number in range(MEMBERS)]
        self.token = users[0].token
        for number, user in enumerate(users):
            name = {"displayname": f"User Number {number}"}
            await user.ask("PUT", f"/profile/{user.user_id}/displayname", name)
        for number in range(rooms):
            owner, *others = users[number % MEMBERS :] + users[: number % MEMBERS]
            room_id = await owner.create(name=f"Room {number}", topic="To measure", preset="public_chat")
            for user in others:
                await user.act(room_id, "join")
            for count in range(MESSAGES):
                await users[count % MEMBERS].send(room_id, f"message {count} of {MESSAGES}")
        async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
            await connection.execute("VACUUM ANALYZE")

    async def restart(self):
        """Start the server anew, with nothing at hand and new connections to PostgreSQL."""
        await self.stop()
        database = await Database.open(self._dsn)
        fetch = database.fetch

        async def counted(statement, *parameters):
            self._queries += 1
            return await fetch(statement, *parameters)

        database.fetch = counted
        self.server = await RoomsServer(database, self._directory).start()

    async def stop(self):
        """Stop the server."""
        if self.server is not None:
            await self.server.close()
            await self.server.database.close()

    async def ask(self, method, path, body=b""):
        """Ask as the account; returns the body."""
        return await ground.ask(self.server, self.token, method, path, body)

    async def cost(self, *asked, rounds, restarts=False):
        """Measure a request; PostgreSQL counts in steps of 10 ms, so only many rounds tell its part."""
        cpu_s = postgres_s = queries = 0
        for _ in range(rounds):
            if restarts:
                await self.restart()
                await self.ask("GET", "/_matrix/client/v3/account/whoami")
                await asyncio.sleep(SETTLED_AFTER_S)
            gc.collect()
            postgres, queries_before, before = (
                self._meter.read().postgres_s,
                self._queries,
                time.process_time(),
            )
            body = await self.ask(*asked)
            cpu_s += time.process_time() - before
            postgres_s += self._meter.read().postgres_s - postgres
            queries += self._queries - queries_before
        return Cost(cpu_s * 1e3 / rounds, postgres_s * 1e3 / rounds, queries / rounds, body)


class Table:
    """Prints the lines and remembers what is over its goal."""

    def __init__(self):
        self._missed = []
        say("| what | CPU ms | of it PostgreSQL | queries | JSON, KB | goal |\n|---|---|---|---|---|---|")

    def add(self, what, cost, goal_ms=None):
        """Add a line."""
        if goal_ms is not None and cost.whole_ms > goal_ms:
            self._missed.append(what)
        say(
            f"| {what} | {cost.whole_ms:.1f} | {cost.postgres_ms:.1f} | {cost.queries:.0f} |"
            f" {len(cost.body) / 1e3:,.0f} | {'' if goal_ms is None else f'≤ {goal_ms}'} |"
        )

    def close(self):
        """Fail if a goal was missed."""
        ground.end(self._missed)


@asynccontextmanager
async def account_in(rooms):
    """Somebody in so many rooms, on a PostgreSQL of their own, for the duration of a block."""
    async with ground.ground("sync") as place:
        account = Account(place)
        try:
            await account.build(rooms)
            gc.collect()
            gc.freeze()  # as a server does at its start
            yield account
        finally:
            await account.stop()
