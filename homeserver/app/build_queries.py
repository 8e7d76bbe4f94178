"""Puts together what asks other servers of their users and rooms, and what tells them of ours."""

from collections.abc import Iterator

from federation.client.queries import FederationQueries
from federation.server.hierarchy import HierarchyEndpoints
from federation.server.public_rooms import PublicRoomsForServers
from federation.server.queries import QueriesEndpoints
from homeserver.accounts.profile import Profiles
from homeserver.accounts.remote_profiles import KnownRemoteProfiles
from homeserver.app.build_outgoing import Outgoing
from homeserver.app.storage import Runtime, Storage
from homeserver.rooms.aliases import Directory
from homeserver.rooms.directory import PublishedRooms
from homeserver.rooms.hierarchy_for_servers import HierarchyForServers
from homeserver.rooms.remote_directory import RemotePublishedRooms
from homeserver.rooms.remote_summaries import NoRemoteRooms, RemoteSummaries, RemoteSummaryReader
from homeserver.rooms.room_servers import RoomServers

__all__ = [
    "build_profiles", "build_remote_published", "build_remote_summaries", "query_owners",
]  # fmt: skip


def build_profiles(runtime: Runtime, storage: Storage, outgoing: Outgoing, server_name: str) -> Profiles:
    """Make what reads profiles, of users here and elsewhere."""
    elsewhere = None
    if outgoing.client is not None:
        elsewhere = KnownRemoteProfiles(remote=FederationQueries(outgoing.client), clock=runtime.clock)
    return Profiles(database=storage.database, server_name=server_name, elsewhere=elsewhere)


def build_remote_published(outgoing: Outgoing) -> RemotePublishedRooms | None:
    """Make what reads room directories."""
    return None if outgoing.client is None else RemotePublishedRooms(FederationQueries(outgoing.client))


def build_remote_summaries(runtime: Runtime, outgoing: Outgoing, server_name: str) -> RemoteSummaryReader:
    """Make what asks for rooms that are not here."""
    if outgoing.client is None:
        return NoRemoteRooms()
    return RemoteSummaries(
        remote=FederationQueries(outgoing.client), clock=runtime.clock, server_name=server_name
    )


def query_owners(
    server_name: str, *, profiles: Profiles, directory: Directory, published: PublishedRooms,
    hierarchy: HierarchyForServers, room_servers: RoomServers,
) -> Iterator[object]:  # fmt: skip
    """The owners of the endpoints by which other servers ask."""
    yield QueriesEndpoints(
        profiles=profiles, directory=directory, room_servers=room_servers, server_name=server_name
    )
    yield PublicRoomsForServers(published=published)
    yield HierarchyEndpoints(hierarchy=hierarchy)
