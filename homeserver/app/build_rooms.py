"""Puts the services of rooms together, on the tables that they read."""

from dataclasses import dataclass

from homeserver.accounts.profile import Profiles
from homeserver.app.data_directory import DataDirectory
from homeserver.app.storage import Runtime, Storage
from homeserver.config.model import Configuration
from homeserver.rooms.compose import Composer
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.sent_before import SentBefore
from homeserver.runtime.tasks import Tasks
from storage.tables.events import Events
from storage.tables.rooms import Rooms
from storage.tables.state import State
from storage.tables.transactions import Transactions

__all__ = ["RoomServices", "build_rooms"]


@dataclass(frozen=True, slots=True)
class RoomServices:
    """What the endpoints of rooms call."""

    registry: RoomRegistry

    async def profile_changed(self, user_id: str) -> None:
        """PLACEHOLDER until rooms bring it."""


def build_rooms(
    configuration: Configuration, runtime: Runtime, storage: Storage, *, data_directory: DataDirectory,
    profiles: Profiles, tasks: Tasks,
) -> RoomServices:  # fmt: skip
    """Make the services of rooms."""
    database = storage.database
    events = Events(database)
    registry = RoomRegistry(
        composer=Composer(
            server_name=configuration.server_name,
            signing_key=data_directory.signing_key(),
            clock=runtime.clock,
        ),
        journal=storage.journal,
        interning=storage.interning,
        rooms=Rooms(database),
        state=State(database, events),
        sent_before=SentBefore(Transactions(database)),
    )
    return RoomServices(registry=registry)
