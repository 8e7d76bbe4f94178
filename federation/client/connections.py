"""Requests to servers by name: to a region at its pinned addresses, to others where they are found."""

import asyncio
import ssl
from dataclasses import dataclass
from typing import ClassVar

from federation.client.connecting import Route
from federation.client.discovered import Discovered
from federation.client.ports import Answer, OutgoingRequest
from federation.client.transport import Transport
from federation.places import Place
from federation.regions import Regions
from federation.well_known import BODY_BYTES_MAX, NeedPage, Page
from homeserver.core.errors import Unavailable
from homeserver.runtime.observation import Level, Observation, Observer

__all__ = ["PAGE_TIMEOUT_MS", "PublicPages", "ServerConnections", "ServerNotReached"]

PAGE_TIMEOUT_MS = 10_000
"""For one page; a few redirects later finding a server is given up with what waits for it."""


@dataclass(frozen=True, slots=True)
class ServerNotReached(Observation):
    """A request to another server has no answer.

    Attributes:
        destination: the server.
        reason: for whoever looks for it: a name that is not found, a certificate, a refused connection.
    """

    level: ClassVar[Level] = Level.DEBUG
    destination: str
    reason: str


class PublicPages:
    """Fetches pages as any client of the web does.

    Args:
        transport: carries requests.
        context: whom to believe.
    """

    def __init__(self, transport: Transport, context: ssl.SSLContext) -> None:
        self._transport = transport
        self._context = context

    async def page(self, need: NeedPage) -> Page | None:
        """Fetch a page; None if it does not come."""
        place = Place(need.host_header, need.host, ((need.host, need.port),))
        request = OutgoingRequest(
            "GET", need.target, timeout_ms=PAGE_TIMEOUT_MS, body_bytes_max=BODY_BYTES_MAX
        )
        try:
            return await self._transport.exchange(Route(place, self._context), request)
        except Unavailable:
            return None


class ServerConnections:
    """Carries requests to servers: implements `Exchanges`.

    Args:
        transport: carries requests by routes.
        discovered: knows where servers are.
        regions: the organisation's own servers.
        context: whom to believe to be a server that is no region.
        observer: told why a server was not reached.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        discovered: Discovered,
        regions: Regions,
        context: ssl.SSLContext,
        observer: Observer,
    ) -> None:
        self._transport = transport
        self._discovered = discovered
        self._regions = regions
        self._context = context
        self._observer = observer

    async def exchange(self, destination: str, request: OutgoingRequest) -> Answer:
        """Send a request and wait for the answer, whatever its status.

        Raises:
            Unavailable: there is no answer.
        """
        route = self._regions.route(destination)
        try:
            if route is not None:
                page = await self._transport.exchange(route, request)
            else:
                page = await self._discover_and_exchange(destination, request)
        except Unavailable as error:
            reason = error if error.__cause__ is None else error.__cause__
            self._observer(ServerNotReached(destination, f"{type(reason).__name__}: {reason}"))
            raise
        return Answer(page.status, page.body)

    async def _discover_and_exchange(self, destination: str, request: OutgoingRequest) -> Page:
        try:
            async with asyncio.timeout(request.timeout_ms / 1000):
                place = await self._discovered.place_of(destination)
                return await self._transport.exchange(Route(place, self._context), request)
        except Unavailable:
            self._discovered.forget(destination)
            raise
        except TimeoutError as error:
            self._discovered.forget(destination)
            raise Unavailable(f"{destination} does not answer in time.") from error
