"""Puts together what brings users of ours into rooms of other servers, and those of others into ours."""

from dataclasses import dataclass

from homeserver.app.account_ports import AccountPorts
from homeserver.app.build_outgoing import Outgoing
from homeserver.app.build_receiving import ReceivingServices, build_receiving
from homeserver.app.storage import Storage
from homeserver.rooms.aliases import Directory
from homeserver.rooms.member_entries import MemberEntries
from homeserver.rooms.member_templates import MemberTemplates
from homeserver.rooms.outsiders import Outsiders
from homeserver.rooms.ports import RemoteJoins
from homeserver.rooms.received_invites import ReceivedInvites
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.remote_handshake import Handshakes
from homeserver.rooms.remote_invite import RemoteInviting
from homeserver.rooms.remote_join import RemoteJoining
from homeserver.rooms.remote_leave import RemoteKnocking, RemoteLeaving
from homeserver.rooms.remote_rooms import RemoteRooms
from homeserver.rooms.residency import Residency
from homeserver.rooms.restricted_joins import RestrictedJoins
from homeserver.rooms.room_names import RoomNames
from homeserver.rooms.server_states import ServerStates
from homeserver.rooms.spam_limits import SpamLimits
from homeserver.rooms.state_at import StateAt
from homeserver.runtime.tasks import Tasks
from storage.tables.events import Events
from storage.tables.memberships import Memberships

__all__ = ["RemoteRoomServices", "build_remote_rooms"]


@dataclass(frozen=True, slots=True)
class RemoteRoomServices:
    """What leads over the border between this server and others."""

    entries: MemberEntries
    inviting: RemoteInviting
    is_federated: bool
    joins: RemoteJoins
    names: RoomNames
    outsiders: Outsiders
    received_invites: ReceivedInvites
    receiving: ReceivingServices
    residency: Residency
    restricted_joins: RestrictedJoins
    rooms: RemoteRooms
    server_states: ServerStates
    spam_limits: SpamLimits
    templates: MemberTemplates


def build_remote_rooms(
    storage: Storage, *, registry: RoomRegistry, state_at: StateAt, directory: Directory,
    accounts: AccountPorts, outgoing: Outgoing, tasks: Tasks, spam_limits: SpamLimits,
) -> RemoteRoomServices:  # fmt: skip
    """Make it."""
    database, signatures = storage.database, outgoing.ports.signatures
    server_name = registry.composer.server_name
    receiving = build_receiving(database, registry, state_at, outgoing.ports)
    residency = Residency(database)
    outsiders = Outsiders(registry=registry, database=database, signatures=signatures)
    handshakes = Handshakes(remote=outgoing.joins, composer=registry.composer)
    restricted_joins = RestrictedJoins(
        registry=registry, residency=residency, memberships=Memberships(database),
        interning=storage.interning, server_name=server_name,
    )  # fmt: skip
    server_states = ServerStates(database=database, events=Events(database), state_at=state_at)
    inviting = RemoteInviting(
        registry=registry, remote=outgoing.joins, ingest=receiving.ingest, signatures=signatures
    )
    templates = MemberTemplates(registry=registry, residency=residency, restricted_joins=restricted_joins)
    return RemoteRoomServices(
        entries=MemberEntries(
            registry=registry, templates=templates, restricted_joins=restricted_joins,
            ingest=receiving.ingest, database=database, states=server_states,
            spam_limits=spam_limits,
        ),
        inviting=inviting,
        is_federated=outgoing.is_federated,
        joins=outgoing.joins,
        names=RoomNames(
            directory=directory, remote=outgoing.directory, server_name=server_name,
            regions=outgoing.regions.names,
        ),
        outsiders=outsiders,
        received_invites=ReceivedInvites(
            registry=registry, residency=residency, outsiders=outsiders,
            invite_permissions=accounts.invite_permissions, signatures=signatures, database=database,
            spam_limits=spam_limits,
        ),
        receiving=receiving,
        residency=residency,
        restricted_joins=restricted_joins,
        rooms=RemoteRooms(
            residency=residency, outsiders=outsiders,
            joining=RemoteJoining(
                handshakes=handshakes, adoption=receiving.adoption, ingest=receiving.ingest,
                residency=residency, signatures=signatures, tasks=tasks, database=database,
            ),
            leaving=RemoteLeaving(handshakes=handshakes, outsiders=outsiders),
            knocking=RemoteKnocking(handshakes=handshakes, outsiders=outsiders), inviting=inviting,
            database=database, server_name=server_name,
        ),
        server_states=server_states,
        spam_limits=spam_limits,
        templates=templates,
    )  # fmt: skip
