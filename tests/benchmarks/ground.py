"""What benchmarks stand on: a PostgreSQL of their own, a way to ask the server, and a place to write to."""

import sys
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import nacl.signing

from clients.load.measure import CpuMeter
from homeserver.http.dispatch import RawRequest
from homeserver.runtime.clock import SystemClock
from homeserver.runtime.observation import ignore_observations
from storage.embedded import EmbeddedPostgres
from storage.inbox_partitions import InboxPartitions
from storage.migrate import migrate
from storage.partitions import Partitions
from storage.pool import Database

GOALS_SIGNATURE_US = 18
"""Where the goals were set. Slower cores make CPU dearer, and so does what others do on the machine."""

SIGNATURES = 2_000
_KEPT_MS = 31_536_000_000


@dataclass
class Ground:
    """A migrated database in a PostgreSQL that nobody else uses.

    Attributes:
        directory: for all that a server keeps beside its database.
        dsn: of the database.
        database: opened.
        meter: of PostgreSQL's CPU; that of the server is this process's own.
    """

    directory: Path
    dsn: str
    database: Database
    meter: CpuMeter


def _signature_us():
    key, message = nacl.signing.SigningKey.generate(), bytes(300)
    before = time.process_time()
    for _ in range(SIGNATURES):
        key.sign(message)
    return (time.process_time() - before) * 1e6 / SIGNATURES


def _readable(temporary):
    directory = Path(temporary)
    directory.chmod(0o755)  # the embedded PostgreSQL may run as another user
    return directory


@asynccontextmanager
async def ground(name):
    """Prepare one for the duration of a block; nothing of it is left."""
    with tempfile.TemporaryDirectory(prefix=f"isthmus-{name}-") as temporary:
        directory = _readable(temporary)
        postgres = EmbeddedPostgres(directory / "postgres")
        dsn = await postgres.start()
        try:
            database = await Database.open(dsn)
            try:
                await migrate(database)
                clock = SystemClock()
                await Partitions(database, clock, ignore_observations).make_ahead()
                inboxes = InboxPartitions(database, clock, ignore_observations, kept_ms=_KEPT_MS)
                await inboxes.make_ahead()
                meter = CpuMeter(server_pids=(), postgres_pids=(postgres.pid,))
                yield Ground(directory, dsn, database, meter)
            finally:
                await database.close()
        finally:
            await postgres.stop()


async def ask(server, token, method, path, body=b""):
    """Ask through the dispatcher; returns the body, undecoded."""
    headers = {"authorization": f"Bearer {token}"}
    raw = RawRequest(method, path.encode(), headers, body, "127.0.0.1")
    response = await server.dispatcher.respond(raw)
    assert response.status == 200, response.body
    return response.body


def say(text):
    """Print a line at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def end(missed):
    """Say how dear CPU is on this machine now, and fail if goals were missed."""
    now, then = _signature_us(), GOALS_SIGNATURE_US
    say(f"An Ed25519 signature takes {now:.0f} µs of CPU here and now, {then} where the goals were set.")
    if missed:
        sys.exit("Over the goal: " + "; ".join(missed))
