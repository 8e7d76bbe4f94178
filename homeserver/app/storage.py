"""Starts PostgreSQL and opens the way into it; each step leaves on the stack how it is undone.

What is built later stands on what was built before, so the stack closes in the right order: first the edges,
then the services, then the journal (which flushes), last PostgreSQL.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from homeserver.accounts.ports import OutgoingRequests
from homeserver.cluster.bus import LocalBus
from homeserver.config.model import Configuration
from homeserver.core.errors import Unavailable
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Observer
from homeserver.runtime.randomness import Randomness
from homeserver.runtime.tasks import Tasks
from homeserver.sync.notifier import Notifier
from homeserver.sync.reads import StoredReads
from storage.embedded import EmbeddedPostgres
from storage.expiry import Expiry
from storage.inbox_partitions import InboxPartitions
from storage.interning import Interning
from storage.journal import Journal
from storage.migrate import migrate
from storage.partitions import Partitions
from storage.pool import Database
from storage.writers import Writers

__all__ = ["Runtime", "Storage", "build_storage"]


class _NoOutgoingRequests:
    """What a server asks others through that has no network, as in tests."""

    async def get(self, url: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        del headers
        raise Unavailable(f"This server has no network to ask {url} through.")

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        del body, headers
        raise Unavailable(f"This server has no network to ask {url} through.")


@dataclass(frozen=True, slots=True)
class Runtime:
    """What everything takes as a collaborator."""

    clock: Clock
    randomness: Randomness
    observer: Observer
    outgoing: OutgoingRequests = field(default_factory=_NoOutgoingRequests)


@dataclass(frozen=True, slots=True)
class Storage:
    """PostgreSQL, and the way into it."""

    database: Database
    interning: Interning
    bus: LocalBus
    journal: Journal
    reads: StoredReads
    notifier: Notifier


async def build_storage(configuration: Configuration, runtime: Runtime, stack: AsyncExitStack) -> Storage:
    """Start PostgreSQL unless one is configured, bring its schema up to date, and open the journal."""
    observer, clock = runtime.observer, runtime.clock
    dsn = configuration.database.dsn
    postgres: EmbeddedPostgres | None = None
    if not dsn:
        postgres = EmbeddedPostgres(
            Path(configuration.data_directory), configuration.database.bin_dir or None, observer=observer
        )
        stack.push_async_callback(postgres.stop)
        dsn = await postgres.start()
    database = await Database.open(dsn, pool_size_max=configuration.database.pool_size_max)
    stack.push_async_callback(database.close)
    await migrate(database, observer=observer)
    tasks = Tasks(observer)
    stack.push_async_callback(tasks.close)
    partitions = Partitions(database, clock, observer)
    await partitions.make_ahead()
    tasks.start(partitions.run(), "partitions")
    inboxes = InboxPartitions(database, clock, observer, kept_ms=configuration.to_device.kept_ms)
    await inboxes.make_ahead()
    tasks.start(inboxes.run(), "inbox partitions")
    kept_ms = configuration.rooms.redacted_content_kept_ms
    tasks.start(Expiry(database, clock, observer, kept_ms).run(), "expiry")
    if postgres is not None:
        tasks.start(postgres.supervise(), "postgres")
    interning, bus = Interning(database), LocalBus()
    reads = StoredReads(database, interning)
    # This server is one process: whoever holds the lease is a predecessor that crashed.
    lease = await Writers(database, clock).acquire(takes_over=True)
    # Once the lease fences late flushes of a predecessor, before anything is written: so it misses nothing.
    presence = configuration.presence
    notifier = await Notifier.start(
        bus, reads, presence_members_max=presence.room_members_max if presence.enabled else 0
    )
    stack.callback(notifier.stop)
    journal = Journal(database, lease, clock, bus.publish, observer)
    stack.push_async_callback(journal.close)
    await journal.start()
    return Storage(database, interning, bus, journal, reads, notifier)
