"""Puts the services together and what carries requests to them; what is to be undone goes on the stack."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.polling.lane import PollLane
from clients.websocket.connection import Services as WebSocketServices
from clients.websocket.protocol import WebSockets
from homeserver.accounts.access_tokens import AccessTokens
from homeserver.accounts.account_data import AccountData
from homeserver.accounts.devices import Devices
from homeserver.accounts.heeded_account_data import HeededAccountData
from homeserver.accounts.login import Logins
from homeserver.accounts.ports import HomeRegions
from homeserver.accounts.profile import ProfileChanges, Profiles
from homeserver.accounts.registration import Registration
from homeserver.accounts.room_settings import RoomSettings
from homeserver.accounts.uia import InteractiveAuthentication
from homeserver.app.account_ports import AccountPorts
from homeserver.app.build_account_care import AccountCare, build_account_care
from homeserver.app.build_accounts import AccountServices, build_accounts
from homeserver.app.build_e2ee import EncryptionServices, build_e2ee
from homeserver.app.build_ephemeral import EphemeralServices, build_ephemeral
from homeserver.app.build_keys import KeyServices, build_keys
from homeserver.app.build_oauth import OAuthServices, build_oauth
from homeserver.app.build_outgoing import Outgoing, unfederated
from homeserver.app.build_queries import build_profiles
from homeserver.app.build_rooms import RoomServices, build_rooms
from homeserver.app.data_directory import DataDirectory
from homeserver.app.storage import Runtime, Storage
from homeserver.config.model import Configuration
from homeserver.http.authenticate import Authenticator, ServerAuthenticator
from homeserver.http.dispatch import Admission, BodyLimits, Dispatcher
from homeserver.http.endpoint import Endpoint, RateLimit
from homeserver.http.rate_limits import RateLimits
from homeserver.http.router import Router
from homeserver.rooms.delayed_events import DelayedEvents
from homeserver.rooms.sticky_rechecks import StickyRechecks
from homeserver.rooms.thread_subscriptions import ThreadSubscriptions
from homeserver.runtime.tasks import Tasks
from homeserver.sync.event_stream import EventStream
from homeserver.sync.filters import Filters
from homeserver.sync.follow import Sync
from homeserver.sync.notifier import Notifier
from homeserver.sync.ports import SyncReads
from homeserver.sync.sliding.connections import Connections
from homeserver.sync.sliding.keeper import ConnectionKeeper
from homeserver.sync.sliding.kept_connections import StoredConnections
from homeserver.sync.sliding.reads import StoredSlidingReads
from homeserver.sync.sliding.sliding_sync import SlidingSync
from homeserver.sync.thread_pages import ThreadPages
from storage.tables.events import Events

__all__ = [
    "Services", "ThreadServices", "build_dispatcher", "build_poll_lane", "build_services", "build_websockets",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ThreadServices:
    """What the endpoints of thread subscriptions call."""

    pages: ThreadPages
    subscriptions: ThreadSubscriptions


@dataclass(frozen=True, slots=True)
class Services:
    """What the endpoints call."""

    access_tokens: AccessTokens
    account_care: AccountCare
    accounts: AccountServices
    account_data: AccountData
    delayed_events: DelayedEvents
    devices: Devices
    encryption: EncryptionServices
    ephemeral: EphemeralServices
    event_stream: EventStream
    filters: Filters
    home_regions: HomeRegions | None
    interactive: InteractiveAuthentication
    keys: KeyServices
    logins: Logins
    profile_changes: ProfileChanges
    profiles: Profiles
    registration: Registration
    registration_secret: str
    rooms: RoomServices
    sliding_sync: SlidingSync
    notifier: Notifier
    oauth: OAuthServices
    sync: Sync
    sync_reads: SyncReads
    threads: ThreadServices


async def build_services(
    configuration: Configuration, runtime: Runtime, storage: Storage, stack: AsyncExitStack,
    outgoing: Outgoing | None = None,
) -> Services:  # fmt: skip
    """Make the services of accounts, rooms and sync; without ways to other servers they are alone."""
    database, clock = storage.database, runtime.clock
    outgoing = outgoing or unfederated(runtime)
    data_directory = DataDirectory(Path(configuration.data_directory), runtime.randomness)
    accounts = await build_accounts(configuration, runtime, storage, data_directory, stack)
    profiles = build_profiles(runtime, storage, outgoing, configuration.server_name)
    heeded = HeededAccountData(database)
    stack.callback(storage.bus.subscribe(heeded.take_in))
    account_data = AccountData(queries=database, journal=storage.journal)
    tasks = Tasks(runtime.observer)
    stack.push_async_callback(tasks.close)
    rooms = build_rooms(
        configuration, runtime, storage, data_directory=data_directory, outgoing=outgoing, tasks=tasks,
        accounts=AccountPorts(profiles, heeded, heeded, RoomSettings(account_data)),
    )  # fmt: skip
    delayed_events = _delayed_events(configuration, runtime, storage, rooms)
    stack.callback(storage.bus.subscribe(delayed_events.follow))
    tasks.start(delayed_events.run(), "delayed events")
    _follow_stickies(runtime, storage, rooms, tasks, stack)
    ephemeral = await build_ephemeral(configuration, runtime, storage, account_data, stack)
    if configuration.retention.enabled:
        stack.callback(storage.bus.subscribe(rooms.retention.follow))
    tasks.start(rooms.retention.run(), "retention")
    return Services(
        access_tokens=accounts.access_tokens,
        accounts=accounts,
        account_care=build_account_care(configuration, runtime, storage, accounts, rooms, stack),
        account_data=account_data,
        delayed_events=delayed_events,
        devices=accounts.devices,
        encryption=build_e2ee(
            configuration, runtime, storage, device_lists=accounts.device_lists, ignoring=heeded,
            remote=outgoing.devices, stack=stack
        ),
        ephemeral=ephemeral,
        event_stream=EventStream(reads=storage.reads, notifier=storage.notifier, clock=clock),
        filters=Filters(database),
        home_regions=outgoing.home_regions,
        interactive=accounts.interactive,
        keys=await build_keys(
            configuration, runtime, storage, device_lists=accounts.device_lists,
            snowflakes=ephemeral.snowflakes, remote_keys=outgoing.keys, stack=stack,
        ),
        logins=accounts.logins,
        profile_changes=ProfileChanges(database=database, propagation=rooms.membership, tasks=tasks),
        profiles=profiles,
        registration=accounts.registration,
        registration_secret=configuration.registration.shared_secret or data_directory.registration_secret(),
        rooms=rooms,
        sliding_sync=_sliding_sync(runtime, storage, stack),
        notifier=storage.notifier,
        oauth=build_oauth(configuration, runtime, storage, accounts, account_data, data_directory),
        sync=Sync(reads=storage.reads, notifier=storage.notifier, clock=clock),
        sync_reads=storage.reads,
        threads=_threads(storage, rooms),
    )  # fmt: skip


def _threads(storage: Storage, rooms: RoomServices) -> ThreadServices:
    subscriptions = ThreadSubscriptions(
        database=storage.database, journal=storage.journal, timeline=rooms.history.timeline,
        events=Events(storage.database),
    )  # fmt: skip
    return ThreadServices(
        subscriptions=subscriptions,
        pages=ThreadPages(storage.reads),
    )


def _follow_stickies(
    runtime: Runtime, storage: Storage, rooms: RoomServices, tasks: Tasks, stack: AsyncExitStack
) -> None:
    rechecks = StickyRechecks(
        database=storage.database, registry=rooms.registry, events=Events(storage.database),
        clock=runtime.clock, observer=runtime.observer,
    )  # fmt: skip
    stack.callback(storage.bus.subscribe(rechecks.follow))
    tasks.start(rechecks.run(), "sticky events")


def _delayed_events(
    configuration: Configuration, runtime: Runtime, storage: Storage, rooms: RoomServices
) -> DelayedEvents:
    return DelayedEvents(
        database=storage.database, registry=rooms.registry, sending=rooms.sending, clock=runtime.clock,
        randomness=runtime.randomness, observer=runtime.observer,
        delay_ms_max=configuration.rooms.delayed_event_ms_max,
    )  # fmt: skip


def _sliding_sync(runtime: Runtime, storage: Storage, stack: AsyncExitStack) -> SlidingSync:
    connections = Connections(runtime.randomness)
    keeper = ConnectionKeeper(
        connections=connections, kept=StoredConnections(storage.database), clock=runtime.clock,
        observer=runtime.observer,
    )  # fmt: skip
    stack.push_async_callback(keeper.save_all)
    tasks = Tasks(runtime.observer)
    stack.push_async_callback(tasks.close)
    tasks.start(keeper.run(), "sliding connections")
    sliding_sync = SlidingSync(
        reads=storage.reads, sliding_reads=StoredSlidingReads(storage.database, storage.interning),
        notifier=storage.notifier, bus=storage.bus, clock=runtime.clock,
        connections=connections, keeper=keeper,
    )  # fmt: skip
    stack.callback(sliding_sync.stop)
    return sliding_sync


def build_dispatcher(
    configuration: Configuration,
    runtime: Runtime,
    *,
    endpoints: Iterable[Endpoint],
    authenticator: Authenticator,
    admission: Admission | None = None,
    servers: ServerAuthenticator | None = None,
) -> Dispatcher:
    """Make what answers requests to `endpoints`."""
    limits, rates = configuration.limits, configuration.rate_limits
    by_kind = {kind.value: getattr(rates, kind.value) for kind in RateLimit if kind is not RateLimit.NONE}
    return Dispatcher(
        router=Router(endpoints),
        authenticator=authenticator,
        rate_limits=RateLimits(by_kind, runtime.clock, runtime.observer) if rates.enabled else None,
        observer=runtime.observer,
        admission=admission,
        servers=servers,
        limits=BodyLimits(limits.body_bytes_max, limits.json_depth_max),
    )


def build_poll_lane(
    runtime: Runtime, services: Services, stack: AsyncExitStack, *, trust_forwarded_for: bool
) -> PollLane:
    """Make what answers the long polls of a listener with the client API."""
    lane = PollLane(
        sync=services.sync,
        filters=services.filters,
        authenticator=services.access_tokens,
        presence=services.ephemeral.presence,
        note=services.account_care.seen.note,
        observer=runtime.observer,
        trust_forwarded_for=trust_forwarded_for,
    )
    stack.push_async_callback(lane.close)
    return lane


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
            presence=services.ephemeral.presence,
            tasks=Tasks(runtime.observer),
        ),
        reactor,
    )
    stack.push_async_callback(websockets.close)
    return websockets
