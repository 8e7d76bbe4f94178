"""The organisation's own servers: where they are is configured, and certificates show who they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ssl import SSLContext
from types import MappingProxyType

from federation.certificates import is_bound_to
from federation.client.connecting import Route
from federation.client.tls import region_context
from federation.places import DEFAULT_PORT, Place, split_server_name
from homeserver.config.regions import Region
from homeserver.core.errors import Unauthorized
from homeserver.http.authenticate import ServerAuthenticator, SignedRequest

__all__ = ["KnownRegion", "RegionGuard", "Regions", "read_regions"]

IDLE_MS_MAX = 3_500_000
"""Connections to regions are kept: the other side ends them after an hour without a request."""


@dataclass(frozen=True, slots=True)
class KnownRegion:
    """What is configured of a region."""

    route: Route
    priority: int


_NONE: Mapping[str, KnownRegion] = MappingProxyType({})


class Regions:
    """The regions that are configured.

    Args:
        known: by server name.
    """

    def __init__(self, known: Mapping[str, KnownRegion] = _NONE) -> None:
        self._known = known

    @property
    def names(self) -> tuple[str, ...]:
        """Their server names, those of the highest priority first."""
        return tuple(sorted(self._known, key=lambda name: (-self._known[name].priority, name)))

    def is_region(self, server_name: str) -> bool:
        """Whether a server is one of the organisation's own."""
        return server_name in self._known

    def priority(self, server_name: str) -> int:
        """How much a server goes before others; 0 for those that are no regions."""
        known = self._known.get(server_name)
        return 0 if known is None else known.priority

    def route(self, server_name: str) -> Route | None:
        """The way to a region; None for other servers."""
        known = self._known.get(server_name)
        return None if known is None else known.route


class RegionGuard:
    """Lets requests of regions in only by connections that showed the region's certificate.

    Args:
        servers: knows who made a request, by its signature.
        regions: those that are configured.
    """

    def __init__(self, servers: ServerAuthenticator, regions: Regions) -> None:
        self._servers = servers
        self._regions = regions

    async def authenticate(self, signed: SignedRequest) -> str:
        """The name of the server that made a request.

        Raises:
            MatrixError: the request does not show that, or its connection does not.
        """
        origin = await self._servers.authenticate(signed)
        if self._regions.is_region(origin) and not is_bound_to(signed.certificate_names(), origin):
            raise Unauthorized(f"The connection does not show the certificate of {origin}.")
        return origin


def read_regions(own_name: str, regions: Sequence[Region]) -> Regions:
    """Read the certificates of the regions that are configured.

    Args:
        own_name: this server, which may be among them, so that all can have the same list.
        regions: all of them.

    Raises:
        ValueError: a file of certificates or keys cannot be read.
    """
    contexts: dict[tuple[str, str, str], SSLContext] = {}
    known = {}
    for one in regions:
        if one.name == own_name:
            continue
        files = (one.ca_file, one.certificate, one.certificate_key)
        if files not in contexts:
            contexts[files] = region_context(*files)
        route = Route(_place(one), contexts[files], region=one.name, idle_ms_max=IDLE_MS_MAX)
        known[one.name] = KnownRegion(route, one.priority)
    return Regions(known)


def _place(region: Region) -> Place:
    parts = split_server_name(region.name)
    hosts = []
    for address in region.addresses:
        at = split_server_name(address)
        hosts.append((at.host, at.port or DEFAULT_PORT))
    return Place(region.name, parts.host, tuple(hosts))
