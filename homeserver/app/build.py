"""Puts the server together, layer by layer; each step leaves on the stack how it is undone.

What is built later stands on what was built before, so the stack closes in the right order: first the edges,
then the services, then the journal (which flushes), last PostgreSQL.
"""

from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.websocket.connection import Services as WebSocketServices
from clients.websocket.protocol import WebSockets
from homeserver.accounts.access_tokens import AccessTokens
from homeserver.accounts.devices import Devices
from homeserver.accounts.login import Logins
from homeserver.accounts.passwords import Passwords
from homeserver.accounts.profile import ProfileChanges, Profiles
from homeserver.accounts.registration import Registration
from homeserver.accounts.token_format import TokenFormat
from homeserver.accounts.token_key import load_or_create_token_key
from homeserver.accounts.uia import InteractiveAuthentication
from homeserver.app.data_directory import DataDirectory
from homeserver.cluster.bus import LocalBus
from homeserver.config.model import Configuration
from homeserver.core.errors import InvalidParam
from homeserver.http.authenticate import Authenticator
from homeserver.http.dispatch import Dispatcher
from homeserver.http.endpoint import Endpoint, RateLimit
from homeserver.http.rate_limits import RateLimits
from homeserver.http.router import Router
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Observer
from homeserver.runtime.randomness import Randomness
from homeserver.runtime.tasks import Tasks
from homeserver.sync.filters import Filters
from homeserver.sync.follow import Sync
from homeserver.sync.notifier import Notifier
from homeserver.sync.reads import StoredReads
from storage.embedded import EmbeddedPostgres
from storage.interning import Interning
from storage.journal import Journal
from storage.migrate import migrate
from storage.partitions import Partitions
from storage.pool import Database
from storage.writers import Writers

__all__ = ["Runtime", "Services", "Storage", "build_dispatcher", "build_services", "build_storage",
           "build_websockets"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Runtime:
    """What everything takes as a collaborator."""

    clock: Clock
    randomness: Randomness
    observer: Observer


@dataclass(frozen=True, slots=True)
class Storage:
    """PostgreSQL, and the way into it."""

    database: Database
    interning: Interning
    bus: LocalBus
    journal: Journal
    reads: StoredReads
    notifier: Notifier


@dataclass(frozen=True, slots=True)
class Services:
    """What the endpoints call."""

    access_tokens: AccessTokens
    devices: Devices
    filters: Filters
    interactive: InteractiveAuthentication
    logins: Logins
    profile_changes: ProfileChanges
    profiles: Profiles
    registration: Registration
    registration_secret: str
    sync: Sync


async def build_storage(configuration: Configuration, runtime: Runtime, stack: AsyncExitStack) -> Storage:
    """Start PostgreSQL unless one is configured, bring its schema up to date, and open the journal."""
    observer, clock = runtime.observer, runtime.clock
    dsn = configuration.database.dsn
    if not dsn:
        postgres = EmbeddedPostgres(
            Path(configuration.data_directory), configuration.database.bin_dir or None
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
    interning, bus = Interning(database), LocalBus()
    reads = StoredReads(database, interning)
    # This server is one process: whoever holds the lease is a predecessor that crashed.
    lease = await Writers(database, clock).acquire(takes_over=True)
    # Once the lease fences late flushes of a predecessor, before anything is written: so it misses nothing.
    notifier = await Notifier.start(bus, reads)
    stack.callback(notifier.stop)
    journal = Journal(database, lease, clock, bus.publish, observer)
    stack.push_async_callback(journal.close)
    await journal.start()
    return Storage(database, interning, bus, journal, reads, notifier)


async def build_services(
    configuration: Configuration, runtime: Runtime, storage: Storage, stack: AsyncExitStack
) -> Services:
    """Make the services of accounts, rooms and sync."""
    database, clock, randomness = storage.database, runtime.clock, runtime.randomness
    server_name = configuration.server_name
    data_directory = DataDirectory(Path(configuration.data_directory), randomness)
    passwords = _passwords(configuration)
    stack.push_async_callback(passwords.close)
    token_key = load_or_create_token_key(data_directory.path / "token.key")
    access_tokens = AccessTokens(
        database=database, token_format=TokenFormat(token_key, server_name), clock=clock,
        randomness=randomness, lifetime_ms=configuration.tokens.access_token_lifetime_ms,
    )  # fmt: skip
    registration = Registration(
        database=database, passwords=passwords, clock=clock, randomness=randomness, server_name=server_name
    )
    for token in configuration.registration.tokens:
        with suppress(InvalidParam):  # it is there since an earlier start
            await registration.create_token(token)
    profiles = Profiles(database=database, server_name=server_name)
    rooms = _rooms()
    return Services(
        access_tokens=access_tokens,
        devices=Devices(database=database, access_tokens=access_tokens),
        filters=Filters(database),
        interactive=InteractiveAuthentication(database=database, clock=clock, randomness=randomness),
        logins=Logins(
            database=database, passwords=passwords, access_tokens=access_tokens, clock=clock,
            randomness=randomness, server_name=server_name,
        ),
        profile_changes=ProfileChanges(database=database, propagation=rooms),
        profiles=profiles,
        registration=registration,
        registration_secret=configuration.registration.shared_secret or data_directory.registration_secret(),
        sync=Sync(reads=storage.reads, notifier=storage.notifier, clock=clock),
    )  # fmt: skip


class _NoRooms:
    async def profile_changed(self, user_id: str) -> None:
        """PLACEHOLDER until rooms land."""


def _rooms() -> _NoRooms:
    return _NoRooms()


def _passwords(configuration: Configuration) -> Passwords:
    cost = configuration.passwords
    return Passwords(
        memory_kib=cost.memory_kib,
        time_cost=cost.time_cost,
        parallelism=cost.parallelism,
        length_min=cost.length_min,
    )


def build_dispatcher(
    configuration: Configuration,
    runtime: Runtime,
    *,
    endpoints: Iterable[Endpoint],
    authenticator: Authenticator,
) -> Dispatcher:
    """Make what answers requests to `endpoints`."""
    limits, rates = configuration.limits, configuration.rate_limits
    by_kind = {kind.value: getattr(rates, kind.value) for kind in RateLimit if kind is not RateLimit.NONE}
    return Dispatcher(
        router=Router(endpoints),
        authenticator=authenticator,
        rate_limits=RateLimits(by_kind, runtime.clock, runtime.observer) if rates.enabled else None,
        observer=runtime.observer,
        body_bytes_max=limits.body_bytes_max,
        json_depth_max=limits.json_depth_max,
    )


def build_websockets(
    runtime: Runtime, services: Services, dispatcher: Dispatcher, reactor: Any, stack: AsyncExitStack
) -> WebSockets:
    """Make what holds the WebSocket connections of the listeners with the client API."""
    websockets = WebSockets(
        WebSocketServices(
            responder=dispatcher,
            authenticator=services.access_tokens,
            sync=services.sync,
            filters=services.filters,
            tasks=Tasks(runtime.observer),
        ),
        reactor,
    )
    stack.push_async_callback(websockets.close)
    return websockets
