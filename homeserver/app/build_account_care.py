"""Puts together what becomes of accounts after they are made: passwords, restrictions, and their end."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from homeserver.accounts.deactivation import Deactivation
from homeserver.accounts.moderation import AccountModeration
from homeserver.accounts.password_changes import PasswordChanges
from homeserver.accounts.seen_sessions import SeenSessions
from homeserver.accounts.short_lived_tokens import ShortLivedTokens
from homeserver.app.build_accounts import AccountServices
from homeserver.app.build_rooms import RoomServices
from homeserver.app.storage import Runtime, Storage
from homeserver.config.model import Configuration
from homeserver.rooms.departures import Departures
from homeserver.rooms.guest_removal import GuestRemoval
from homeserver.runtime.tasks import Tasks
from storage.tables.memberships import Memberships

__all__ = ["AccountCare", "build_account_care"]


@dataclass(frozen=True, slots=True)
class AccountCare:
    """What the endpoints of accounts call for accounts that exist."""

    deactivation: Deactivation
    moderation: AccountModeration
    password_changes: PasswordChanges
    seen: SeenSessions
    short_lived_tokens: ShortLivedTokens


def build_account_care(
    configuration: Configuration,
    runtime: Runtime,
    storage: Storage,
    accounts: AccountServices,
    rooms: RoomServices,
    stack: AsyncExitStack,
) -> AccountCare:
    """Make the services, and go on with departures that a restart has interrupted."""
    database = storage.database
    tasks = Tasks(runtime.observer)
    deactivation = Deactivation(
        database=database,
        devices=accounts.devices,
        departures=Departures(
            membership=rooms.membership, memberships=Memberships(database), interning=storage.interning
        ),
        erasures=storage.reads.erased_users,
        identity_servers=accounts.addresses.identity_servers,
        clock=runtime.clock,
        tasks=tasks,
    )
    seen = SeenSessions(database, runtime.clock, runtime.observer)
    stack.push_async_callback(seen.flush)
    stack.push_async_callback(tasks.close)
    removal = GuestRemoval(
        database=database, registry=rooms.registry, membership=rooms.membership, observer=runtime.observer
    )
    stack.callback(storage.bus.subscribe(removal.follow))
    tasks.start(removal.run(), "guest removal")
    tasks.start(deactivation.resume(), "departures")
    tasks.start(seen.run(), "seen sessions")
    return AccountCare(
        deactivation=deactivation,
        moderation=AccountModeration(
            database=database, access_tokens=accounts.access_tokens, server_name=configuration.server_name
        ),
        password_changes=PasswordChanges(
            database=database, passwords=accounts.passwords, devices=accounts.devices
        ),
        seen=seen,
        short_lived_tokens=ShortLivedTokens(
            database=database, clock=runtime.clock, randomness=runtime.randomness
        ),
    )
