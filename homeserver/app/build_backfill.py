"""Puts together what fetches the past of rooms, on ways to ask other servers that are given."""

from collections.abc import Callable

from homeserver.app.build_receiving import RemotePorts
from homeserver.app.storage import Runtime
from homeserver.rooms.backfill import Backfill
from homeserver.rooms.gaps import Gaps
from homeserver.rooms.older_events import OlderEvents
from homeserver.rooms.outliers import Outliers
from homeserver.rooms.ports import RemoteHistory
from homeserver.rooms.received_redactions import ReceivedRedactions
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.resolution import Resolution
from homeserver.rooms.state_at import StateAt
from homeserver.runtime.tasks import Tasks
from storage.pool import Database
from storage.tables.events import Events
from storage.tables.graph import Graph

__all__ = ["build_backfill"]


def build_backfill(
    *, runtime: Runtime, database: Database, registry: RoomRegistry, state_at: StateAt, ports: RemotePorts,
    remote: RemoteHistory, is_near: Callable[[str], bool], tasks: Tasks,
) -> Backfill:  # fmt: skip
    """Make what fetches the past of rooms.

    Args:
        runtime: clock and observer.
        database: where events are.
        registry: the rooms.
        state_at: reads states.
        ports: the ways to other servers, for what allows events.
        remote: asks them for the past.
        is_near: whether a server is one of our own regions.
        tasks: runs what goes on when nobody waits any more.
    """
    events, journal, interning = Events(database), registry.journal, registry.interning
    resolution = Resolution(state_at=state_at, events=events, interning=interning, journal=journal)
    outliers = Outliers(events=events, journal=journal, interning=interning, signatures=ports.signatures)
    older = OlderEvents(
        registry=registry,
        gaps=Gaps(
            remote=ports.remote, outliers=outliers, events=events, resolution=resolution, registry=registry
        ),
        outliers=outliers,
        resolution=resolution,
        events=events,
        redactions=ReceivedRedactions(events=events, graph=Graph(database), state_at=state_at),
        queries=database,
    )
    return Backfill(
        registry=registry, older=older, remote=remote, queries=database, is_near=is_near, tasks=tasks,
        clock=runtime.clock, observer=runtime.observer,
    )  # fmt: skip
