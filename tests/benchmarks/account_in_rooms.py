"""An account in many rooms, on a server without a socket: what the benchmarks of sync measure."""

import gc
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from clients.load.measure import CpuMeter
from homeserver.http.dispatch import RawRequest
from homeserver.runtime.clock import SystemClock
from homeserver.runtime.observation import ignore_observations
from storage.embedded import EmbeddedPostgres
from storage.migrate import migrate
from storage.partitions import Partitions
from storage.pool import Database
from tests.doubles.rooms import RoomsServer

MEMBERS = 20
MESSAGES = 20


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

    def __init__(self, postgres, dsn, directory):
        self._meter = CpuMeter(server_pids=(), postgres_pids=(postgres.pid,))
        self._dsn = dsn
        self._directory = directory
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
        headers = {"authorization": f"Bearer {self.token}"}
        request = RawRequest(method, path.encode(), headers, body, "127.0.0.1")
        response = await self.server.dispatcher.respond(request)
        assert response.status == 200, response.body
        return response.body

    async def cost(self, *asked, rounds, restarts=False):
        """Measure a request; PostgreSQL counts in steps of 10 ms, so only many rounds tell its part."""
        cpu_s = postgres_s = queries = 0
        for _ in range(rounds):
            if restarts:
                await self.restart()
                await self.ask("GET", "/_matrix/client/v3/account/whoami")
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
        _say("| what | CPU ms | of it PostgreSQL | queries | JSON, KB | goal |\n|---|---|---|---|---|---|")

    def add(self, what, cost, goal_ms=None):
        """Add a line."""
        if goal_ms is not None and cost.whole_ms > goal_ms:
            self._missed.append(what)
        _say(
            f"| {what} | {cost.whole_ms:.1f} | {cost.postgres_ms:.1f} | {cost.queries:.0f} |"
            f" {len(cost.body) / 1e3:,.0f} | {'' if goal_ms is None else f'≤ {goal_ms}'} |"
        )

    def close(self):
        """Fail if a goal was missed."""
        if self._missed:
            sys.exit("Over the goal: " + "; ".join(self._missed))


def _say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _opened(temporary):
    directory = Path(temporary)
    directory.chmod(0o755)  # the embedded PostgreSQL may run as another user
    return directory


@asynccontextmanager
async def account_in(rooms):
    """Somebody in so many rooms, on a PostgreSQL of their own, for the duration of a block."""
    with tempfile.TemporaryDirectory(prefix="isthmus-sync-") as temporary:
        directory = _opened(temporary)
        postgres = EmbeddedPostgres(directory / "postgres")
        dsn = await postgres.start()
        database = await Database.open(dsn)
        await migrate(database)
        await Partitions(database, SystemClock(), ignore_observations).make_ahead()
        await database.close()
        account = Account(postgres, dsn, directory)
        try:
            await account.build(rooms)
            gc.collect()
            gc.freeze()  # as a server does at its start
            yield account
        finally:
            await account.stop()
            await postgres.stop()
