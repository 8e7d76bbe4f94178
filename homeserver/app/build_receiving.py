"""Puts together what takes in the events of other servers, on ways to ask those servers that are given."""

from dataclasses import dataclass

from homeserver.rooms.adoption import RoomAdoption
from homeserver.rooms.gaps import Gaps
from homeserver.rooms.ingest import Ingest
from homeserver.rooms.merging import Merging
from homeserver.rooms.outliers import Outliers
from homeserver.rooms.placing import Placing
from homeserver.rooms.ports import PolicyServers, RemoteServers, Signatures
from homeserver.rooms.received_redactions import ReceivedRedactions
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.resolution import Resolution
from homeserver.rooms.state_at import StateAt
from storage.pool import Database
from storage.tables.events import Events
from storage.tables.graph import Graph
from storage.tables.memberships import Memberships

__all__ = ["ReceivingServices", "RemotePorts", "build_receiving"]


@dataclass(frozen=True, slots=True)
class RemotePorts:
    """The ways to other servers."""

    remote: RemoteServers
    signatures: Signatures
    policy: PolicyServers


@dataclass(frozen=True, slots=True)
class ReceivingServices:
    """What the edge towards other servers calls."""

    adoption: RoomAdoption
    ingest: Ingest


def build_receiving(
    database: Database, registry: RoomRegistry, state_at: StateAt, ports: RemotePorts
) -> ReceivingServices:
    """Make what takes in events of other servers."""
    events, graph = Events(database), Graph(database)
    journal, interning = registry.journal, registry.interning
    resolution = Resolution(state_at=state_at, events=events, interning=interning, journal=journal)
    outliers = Outliers(events=events, journal=journal, interning=interning, signatures=ports.signatures)
    gaps = Gaps(
        remote=ports.remote, outliers=outliers, events=events, resolution=resolution,
        registry=registry,
    )  # fmt: skip
    placing = Placing(
        registry=registry, state_at=state_at, resolution=resolution, events=events, graph=graph,
        redactions=ReceivedRedactions(events=events, graph=graph, state_at=state_at),
    )  # fmt: skip
    merging = Merging(registry=registry, memberships=Memberships(database))
    return ReceivingServices(
        adoption=RoomAdoption(
            registry=registry, outliers=outliers, gaps=gaps, placing=placing, events=events
        ),
        ingest=Ingest(
            placing=placing, merging=merging, gaps=gaps, resolution=resolution, events=events,
            remote=ports.remote, signatures=ports.signatures, policy=ports.policy,
        ),
    )  # fmt: skip
