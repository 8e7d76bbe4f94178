"""Puts together the services by which rooms are found and reported."""

from dataclasses import dataclass

from homeserver.app.storage import Runtime, Storage
from homeserver.rooms.aliases import Directory
from homeserver.rooms.directory import PublishedRooms
from homeserver.rooms.hierarchy import SpaceHierarchy
from homeserver.rooms.mutual_rooms import MutualRooms
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.report_reads import ReportReads
from homeserver.rooms.reports import Reporting
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
    mutual_rooms: MutualRooms
    published: PublishedRooms
    report_reads: ReportReads
    reporting: Reporting
    summaries: SummaryReader


def build_finding(
    runtime: Runtime, storage: Storage, *, directory: Directory, registry: RoomRegistry, sight: Sight
) -> FindingServices:
    """Make the services by which rooms are found and reported."""
    database, interning, clock = storage.database, storage.interning, runtime.clock
    events, reports, shared_rooms = Events(database), Reports(database), SharedRooms(database)
    cards, rooms = RoomCards(database, events), registry.rooms
    summaries = RoomSummaries(cards=cards, shared_rooms=shared_rooms, interning=interning)
    return FindingServices(
        hierarchy=SpaceHierarchy(
            cards=cards, summaries=summaries, walks=HierarchyWalks(database), interning=interning,
            randomness=runtime.randomness, clock=clock,
        ),
        mutual_rooms=MutualRooms(shared_rooms=shared_rooms, interning=interning),
        published=PublishedRooms(
            rooms=rooms, cards=cards, summaries=summaries, directory=directory, registry=registry
        ),
        report_reads=ReportReads(reports=reports, events=events, summaries=summaries),
        reporting=Reporting(
            reports=reports, sight=sight, events=events, rooms=rooms, database=database,
            interning=interning, clock=clock, server_name=registry.composer.server_name,
        ),
        summaries=SummaryReader(summaries=summaries, directory=directory),
    )  # fmt: skip
