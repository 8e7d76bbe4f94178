"""Puts the services of rooms together, on the tables that they read."""

from dataclasses import dataclass

from federation.client.events import RemoteEvents
from homeserver.app.account_ports import AccountPorts
from homeserver.app.build_backfill import build_backfill
from homeserver.app.build_entry import EntryServices, build_entry, build_spam_limits
from homeserver.app.build_finding import FindingServices, build_finding
from homeserver.app.build_history import HistoryServices, build_history
from homeserver.app.build_outgoing import Outgoing
from homeserver.app.build_policies import build_policies, with_policies
from homeserver.app.build_remote_rooms import build_remote_rooms
from homeserver.app.data_directory import DataDirectory
from homeserver.app.storage import Runtime, Storage
from homeserver.config.model import Configuration
from homeserver.rooms.aliases import Directory
from homeserver.rooms.compose import Composer
from homeserver.rooms.create_room import RoomCreation
from homeserver.rooms.initial_sync import InitialSync
from homeserver.rooms.loading import RoomLoading
from homeserver.rooms.members import Members
from homeserver.rooms.membership import Membership
from homeserver.rooms.past import NoOlderHistory, OlderHistory
from homeserver.rooms.policies import PolicySignatures
from homeserver.rooms.redacted_reads import RedactedReads
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.relation_rules import RelationRules
from homeserver.rooms.retention import RoomRetention
from homeserver.rooms.sending import Sending
from homeserver.rooms.sent_before import SentBefore
from homeserver.rooms.sight import Sight
from homeserver.rooms.state_at import StateAt
from homeserver.rooms.state_reads import StateReads
from homeserver.runtime.tasks import Tasks
from storage.tables.aliases import Aliases
from storage.tables.events import Events
from storage.tables.memberships import Memberships
from storage.tables.retention import Retention
from storage.tables.rooms import Rooms
from storage.tables.state import State
from storage.tables.state_groups import StateGroups
from storage.tables.transactions import Transactions

__all__ = ["RoomServices", "build_rooms"]


class _Tables:
    """The reads of rooms."""

    def __init__(self, storage: Storage) -> None:
        database = storage.database
        self.aliases = Aliases(database)
        self.events = Events(database)
        self.groups = StateGroups(database)
        self.memberships = Memberships(database)
        self.rooms = Rooms(database)
        self.state = State(database, self.events)
        self.transactions = Transactions(database)


@dataclass(frozen=True, slots=True)
class RoomServices:
    """What the endpoints of rooms call."""

    creation: RoomCreation
    directory: Directory
    finding: FindingServices
    history: HistoryServices
    entry: EntryServices
    members: Members
    initial_sync: InitialSync
    membership: Membership
    redacted_reads: RedactedReads
    registry: RoomRegistry
    retention: RoomRetention
    sending: Sending
    state_at: StateAt
    state_reads: StateReads


def build_rooms(
    configuration: Configuration, runtime: Runtime, storage: Storage, *, data_directory: DataDirectory,
    accounts: AccountPorts, outgoing: Outgoing, tasks: Tasks,
) -> RoomServices:  # fmt: skip
    """Make the services of rooms."""
    tables, interning, server_name = _Tables(storage), storage.interning, configuration.server_name
    composer = Composer(
        server_name=server_name, signing_key=data_directory.signing_key(), clock=runtime.clock
    )
    policies = build_policies(storage, outgoing)
    registry = _build_registry(storage, tables, composer, policies)
    outgoing = with_policies(outgoing, registry, policies)
    state_at = StateAt(groups=tables.groups, events=tables.events, interning=interning)
    sight = _build_sight(storage, tables, state_at)
    history = build_history(
        storage.database, interning, sight=sight, ignored_users=accounts.ignored_users, clock=runtime.clock,
        older=_build_older(runtime, storage, registry, state_at, outgoing, tasks),
    )  # fmt: skip
    directory = _build_directory(configuration, runtime, tables, sight, registry)
    entry = build_entry(
        configuration, runtime, storage, registry=registry, directory=directory, accounts=accounts,
        remote=build_remote_rooms(
            storage, registry=registry, state_at=state_at, directory=directory, accounts=accounts,
            outgoing=outgoing, tasks=tasks, spam_limits=build_spam_limits(configuration, runtime),
        ),
    )  # fmt: skip
    state_reads = StateReads(
        sight=sight, state=tables.state, client_events=history.client_events, lists=history.state_lists
    )
    return RoomServices(
        creation=entry.creation,
        directory=directory,
        entry=entry,
        finding=build_finding(
            runtime, storage, directory=directory, registry=registry, sight=sight, outgoing=outgoing
        ),
        history=history,
        initial_sync=InitialSync(
            sight=sight, state_reads=state_reads, history=history.history, events=tables.events,
            memberships=tables.memberships, interning=interning,
        ),
        members=Members(
            sight=sight, memberships=tables.memberships, interning=interning,
            lists=history.state_lists,
        ),
        membership=entry.membership,
        registry=registry,
        redacted_reads=_build_redacted_reads(configuration, storage, history, registry),
        retention=_build_retention(configuration, runtime, storage, registry),
        sending=_build_sending(tables, registry, history, directory, entry),
        state_at=state_at,
        state_reads=state_reads,
    )  # fmt: skip


def _build_directory(
    configuration: Configuration, runtime: Runtime, tables: _Tables, sight: Sight, registry: RoomRegistry
) -> Directory:
    return Directory(
        aliases=tables.aliases, sight=sight, registry=registry, interning=registry.interning,
        clock=runtime.clock, server_name=configuration.server_name,
        everyone_publishes=configuration.rooms.publication == "everyone",
    )  # fmt: skip


def _build_sending(
    tables: _Tables, registry: RoomRegistry, history: HistoryServices, directory: Directory,
    entry: EntryServices,
) -> Sending:  # fmt: skip
    relation_rules = RelationRules(
        registry=registry, relations=history.relations, events=tables.events, transactions=tables.transactions
    )
    return Sending(
        registry=registry, events=tables.events, directory=directory, membership=entry.membership,
        relation_rules=relation_rules,
    )  # fmt: skip


def _build_sight(storage: Storage, tables: _Tables, state_at: StateAt) -> Sight:
    return Sight(
        rooms=tables.rooms,
        memberships=tables.memberships,
        state=tables.state,
        interning=storage.interning,
        state_at=state_at,
        erased_users=storage.reads.erased_users,
    )


def _build_older(
    runtime: Runtime, storage: Storage, registry: RoomRegistry, state_at: StateAt, outgoing: Outgoing,
    tasks: Tasks,
) -> OlderHistory:  # fmt: skip
    if outgoing.client is None:
        return NoOlderHistory()
    return build_backfill(
        runtime=runtime, database=storage.database, registry=registry, state_at=state_at,
        ports=outgoing.ports, tasks=tasks, remote=RemoteEvents(outgoing.client),
        is_near=outgoing.regions.is_region,
    )  # fmt: skip


def _build_registry(
    storage: Storage, tables: _Tables, composer: Composer, policies: PolicySignatures | None
) -> RoomRegistry:
    loading = RoomLoading(rooms=tables.rooms, events=tables.events, state=tables.state, groups=tables.groups)
    return RoomRegistry(
        composer=composer,
        journal=storage.journal,
        interning=storage.interning,
        loading=loading,
        sent_before=SentBefore(tables.transactions),
        policies=policies,
    )


def _build_redacted_reads(
    configuration: Configuration, storage: Storage, history: HistoryServices, registry: RoomRegistry
) -> RedactedReads:
    return RedactedReads(
        timeline=history.timeline,
        client_events=history.client_events,
        registry=registry,
        retention=Retention(storage.database),
        kept_ms=configuration.rooms.redacted_content_kept_ms,
    )


def _build_retention(
    configuration: Configuration, runtime: Runtime, storage: Storage, registry: RoomRegistry
) -> RoomRetention:
    return RoomRetention(
        section=configuration.retention,
        redacted_content_kept_ms=configuration.rooms.redacted_content_kept_ms,
        database=storage.database,
        registry=registry,
        clock=runtime.clock,
        observer=runtime.observer,
    )
