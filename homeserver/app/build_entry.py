"""Puts together the ways into rooms and from room to room."""

from dataclasses import dataclass, replace

from homeserver.app.account_ports import AccountPorts
from homeserver.app.build_remote_rooms import RemoteRoomServices
from homeserver.app.storage import Runtime, Storage
from homeserver.config.model import Configuration
from homeserver.rooms.aliases import Directory
from homeserver.rooms.create_room import RoomCreation
from homeserver.rooms.invitees import Invitees
from homeserver.rooms.joining import Joining
from homeserver.rooms.knock import Knocking
from homeserver.rooms.membership import Membership
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.spam_limits import SpamLimits
from homeserver.rooms.succession import Succession
from homeserver.rooms.third_party_invites import ThirdPartyInvites
from homeserver.rooms.upgrade import RoomUpgrades
from storage.tables.aliases import Aliases
from storage.tables.events import Events
from storage.tables.memberships import Memberships
from storage.tables.state import State

__all__ = ["EntryServices", "build_entry", "build_spam_limits"]


@dataclass(frozen=True, slots=True)
class EntryServices:
    """What makes and replaces rooms, lets users into them, and keeps them out."""

    creation: RoomCreation
    joining: Joining
    knocking: Knocking
    membership: Membership
    remote: RemoteRoomServices
    spam_limits: SpamLimits
    third_party_invites: ThirdPartyInvites
    upgrades: RoomUpgrades


def build_spam_limits(configuration: Configuration, runtime: Runtime) -> SpamLimits:
    """Make what counts with how much users reach others."""
    rates = configuration.spam_limits
    return SpamLimits(
        rates=replace(rates, enabled=rates.enabled and configuration.rate_limits.enabled),
        clock=runtime.clock,
        observer=runtime.observer,
    )


def build_entry(
    configuration: Configuration, runtime: Runtime, storage: Storage, *, registry: RoomRegistry,
    directory: Directory, accounts: AccountPorts, remote: RemoteRoomServices,
) -> EntryServices:  # fmt: skip
    """Make the services that change who is in a room, and those that make rooms."""
    interning, profiles, database = storage.interning, accounts.profiles, storage.database
    spam_limits = remote.spam_limits
    memberships, state = Memberships(database), State(database, Events(database))
    third_party_invites = ThirdPartyInvites(
        registry=registry, state=state, profiles=profiles, residency=remote.residency,
        remote_inviting=remote.inviting, remote=remote.joins,
    )  # fmt: skip
    succession = Succession(
        registry=registry, aliases=Aliases(database), memberships=memberships, interning=interning,
        personal_settings=accounts.personal_settings,
    )  # fmt: skip
    joining = Joining(
        registry=registry, names=remote.names, remote_rooms=remote.rooms, profiles=profiles,
        restricted_joins=remote.restricted_joins,
        third_party_invites=third_party_invites, spam_limits=spam_limits, succession=succession,
    )  # fmt: skip
    knocking = Knocking(
        registry=registry, names=remote.names, remote_rooms=remote.rooms, profiles=profiles,
        spam_limits=spam_limits,
    )  # fmt: skip
    invitees = Invitees(
        invite_permissions=accounts.invite_permissions, server_name=configuration.server_name,
        is_federated=remote.is_federated,
    )  # fmt: skip
    membership = Membership(
        registry=registry, joining=joining, knocking=knocking, profiles=profiles,
        remote_rooms=remote.rooms, memberships=memberships,
        spam_limits=spam_limits, invitees=invitees,
    )  # fmt: skip
    creation = RoomCreation(
        registry=registry, directory=directory, invitees=invitees, remote_inviting=remote.inviting,
        profiles=profiles, randomness=runtime.randomness, spam_limits=spam_limits,
        default_room_version=configuration.rooms.default_room_version,
    )  # fmt: skip
    upgrades = RoomUpgrades(
        registry=registry, creation=creation, memberships=memberships,
        succession=succession, state=state,
    )  # fmt: skip
    return EntryServices(
        creation, joining, knocking, membership, remote, spam_limits, third_party_invites, upgrades
    )
