"""Puts together the ways into rooms and from room to room."""

from dataclasses import dataclass, replace

from homeserver.app.account_ports import AccountPorts
from homeserver.app.storage import Runtime, Storage
from homeserver.config.model import Configuration
from homeserver.rooms.aliases import Directory
from homeserver.rooms.create_room import RoomCreation
from homeserver.rooms.invitees import Invitees
from homeserver.rooms.joining import Joining
from homeserver.rooms.knock import Knocking
from homeserver.rooms.membership import Membership
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.restricted_joins import RestrictedJoins
from homeserver.rooms.spam_limits import SpamLimits
from homeserver.rooms.succession import Succession
from homeserver.rooms.third_party_invites import ThirdPartyInvites
from homeserver.rooms.upgrade import RoomUpgrades
from storage.tables.aliases import Aliases
from storage.tables.events import Events
from storage.tables.memberships import Memberships
from storage.tables.state import State

__all__ = ["EntryServices", "build_entry"]


@dataclass(frozen=True, slots=True)
class EntryServices:
    """What makes and replaces rooms, lets users into them, and keeps them out."""

    creation: RoomCreation
    joining: Joining
    knocking: Knocking
    membership: Membership
    spam_limits: SpamLimits
    third_party_invites: ThirdPartyInvites
    upgrades: RoomUpgrades


def build_entry(
    configuration: Configuration, runtime: Runtime, storage: Storage, *, registry: RoomRegistry,
    directory: Directory, accounts: AccountPorts,
) -> EntryServices:  # fmt: skip
    """Make the services that change who is in a room, and those that make rooms."""
    interning, server_name, profiles = storage.interning, configuration.server_name, accounts.profiles
    database = storage.database
    memberships, state = Memberships(database), State(database, Events(database))
    rates = configuration.spam_limits
    spam_limits = SpamLimits(
        rates=replace(rates, enabled=rates.enabled and configuration.rate_limits.enabled),
        clock=runtime.clock,
        observer=runtime.observer,
    )
    third_party_invites = ThirdPartyInvites(
        registry=registry, state=state, profiles=profiles, server_name=server_name
    )
    succession = Succession(
        registry=registry, aliases=Aliases(database), memberships=memberships, interning=interning,
        personal_settings=accounts.personal_settings,
    )  # fmt: skip
    joining = Joining(
        registry=registry, directory=directory, profiles=profiles,
        restricted_joins=RestrictedJoins(
            registry=registry, rooms=registry.rooms, memberships=memberships, interning=interning,
            server_name=server_name,
        ),
        third_party_invites=third_party_invites, spam_limits=spam_limits, succession=succession,
    )  # fmt: skip
    knocking = Knocking(registry=registry, directory=directory, profiles=profiles, spam_limits=spam_limits)
    invitees = Invitees(invite_permissions=accounts.invite_permissions, server_name=server_name)
    membership = Membership(
        registry=registry, joining=joining, knocking=knocking, profiles=profiles, memberships=memberships,
        interning=interning, spam_limits=spam_limits, invitees=invitees,
    )  # fmt: skip
    creation = RoomCreation(
        registry=registry, composer=registry.composer, directory=directory, invitees=invitees,
        profiles=profiles, randomness=runtime.randomness, spam_limits=spam_limits,
        default_room_version=configuration.rooms.default_room_version,
    )  # fmt: skip
    upgrades = RoomUpgrades(
        registry=registry, creation=creation, memberships=memberships,
        succession=succession, state=state,
    )  # fmt: skip
    return EntryServices(creation, joining, knocking, membership, spam_limits, third_party_invites, upgrades)
