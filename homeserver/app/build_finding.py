"""Puts together the services by which rooms are found and reported."""

from dataclasses import dataclass

from homeserver.app.build_outgoing import Outgoing
from homeserver.app.build_queries import build_remote_published, build_remote_summaries
from homeserver.app.storage import Runtime, Storage
from homeserver.rooms.aliases import Directory
from homeserver.rooms.directory import PublishedRooms
from homeserver.rooms.hierarchy import SpaceHierarchy
from homeserver.rooms.hierarchy_for_servers import HierarchyForServers
from homeserver.rooms.mutual_rooms import MutualRooms
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.remote_directory import RemotePublishedRooms
from homeserver.rooms.report_reads import ReportReads
from homeserver.rooms.reports import Reporting
from homeserver.rooms.room_names import RoomNames
from homeserver.rooms.room_summary import RoomSummaries, SummaryReader
from homeserver.rooms.sight import Sight
from storage.tables.events import Events
from storage.tables.hierarchy_walks import HierarchyWalks
from storage.tables.reports import Reports
from storage.tables.room_cards import RoomCards
from storage.tables.shared_rooms import SharedRooms

__all__ = ["FindingServices", "build_finding"]


@dataclass(frozen=True, slots=True)
class FindingServices:
    """What the endpoints call by which rooms are found and reported."""

    hierarchy: SpaceHierarchy
    hierarchy_for_servers: HierarchyForServers
    mutual_rooms: MutualRooms
    published: PublishedRooms
    published_elsewhere: RemotePublishedRooms | None
    report_reads: ReportReads
    reporting: Reporting
    summaries: SummaryReader


def build_finding(
    runtime: Runtime, storage: Storage, *, directory: Directory, registry: RoomRegistry, sight: Sight,
    outgoing: Outgoing,
) -> FindingServices:  # fmt: skip
    """Make the services by which rooms are found and reported."""
    database, interning, clock = storage.database, storage.interning, runtime.clock
    server_name = registry.composer.server_name
    elsewhere = build_remote_summaries(runtime, outgoing, server_name)
    events, reports, shared_rooms = Events(database), Reports(database), SharedRooms(database)
    cards, rooms = RoomCards(database, events), registry.rooms
    summaries = RoomSummaries(cards=cards, shared_rooms=shared_rooms, interning=interning)
    return FindingServices(
        hierarchy=SpaceHierarchy(
            cards=cards, summaries=summaries, walks=HierarchyWalks(database), interning=interning,
            randomness=runtime.randomness, clock=clock, elsewhere=elsewhere,
        ),
        hierarchy_for_servers=HierarchyForServers(cards=cards, summaries=summaries),
        mutual_rooms=MutualRooms(shared_rooms=shared_rooms, interning=interning),
        published=PublishedRooms(
            rooms=rooms, cards=cards, summaries=summaries, directory=directory, registry=registry
        ),
        published_elsewhere=build_remote_published(outgoing),
        report_reads=ReportReads(reports=reports, events=events, summaries=summaries),
        reporting=Reporting(
            reports=reports, sight=sight, events=events, rooms=rooms, database=database,
            interning=interning, clock=clock, server_name=server_name,
        ),
        summaries=SummaryReader(
            summaries=summaries, elsewhere=elsewhere,
            names=RoomNames(
                directory=directory, remote=outgoing.directory, server_name=server_name,
                regions=outgoing.regions.names,
            ),
        ),
    )  # fmt: skip
