"""Requests over connections that are kept: few to each server, not too many in all, none for ever."""

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

from federation.client.connecting import Connecting, Route
from federation.client.ports import OutgoingRequest
from federation.client.wire import BrokenOffError, TooLongError, Wire, encoded_request
from federation.well_known import Page
from homeserver.core.errors import Unavailable

__all__ = ["Transport"]

CONNECTIONS_MAX = 1_000
CONNECTIONS_PER_ROUTE_MAX = 8


class _Pool:
    """The connections of one way."""

    def __init__(self, connections_max: int) -> None:
        self.turn = asyncio.Semaphore(connections_max)
        self.idle: list[Wire] = []
        self.users = 0


@dataclass(frozen=True, slots=True)
class _Idle:
    pool: _Pool
    route: Route
    timer: asyncio.TimerHandle


class Transport:
    """Sends requests by routes.

    Args:
        connecting: opens connections.
        connections_max: open at a time, in all; more requests wait.
        connections_per_route_max: open at a time on one route; more requests wait.
    """

    def __init__(
        self,
        connecting: Connecting,
        *,
        connections_max: int = CONNECTIONS_MAX,
        connections_per_route_max: int = CONNECTIONS_PER_ROUTE_MAX,
    ) -> None:
        self._connecting = connecting
        self._connections_max = connections_max
        self._per_route_max = connections_per_route_max
        self._turn = asyncio.Semaphore(connections_max)
        self._pools: dict[Route, _Pool] = {}
        self._open: set[Wire] = set()
        self._opening = 0
        self._idle: dict[Wire, _Idle] = {}
        """In the order in which they became idle."""

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    async def exchange(self, route: Route, request: OutgoingRequest) -> Page:
        """Send a request and wait for the answer, whatever its status.

        Raises:
            Unavailable: there is no answer.
        """
        place = route.place.host_header
        try:
            async with asyncio.timeout(request.timeout_ms / 1000):
                return await self._exchange(route, request)
        except TimeoutError as error:
            raise Unavailable(f"{place} does not answer in time.") from error
        except TooLongError as error:
            raise Unavailable(f"{place} answers with more than is taken.") from error
        # UnicodeError for names that DNS does not have.
        except (OSError, BrokenOffError, ValueError) as error:
            raise Unavailable(f"{place} cannot be reached.") from error

    async def _exchange(self, route: Route, request: OutgoingRequest) -> Page:
        pool = self._pools.setdefault(route, _Pool(self._per_route_max))
        pool.users += 1
        try:
            async with pool.turn, self._turn_of(route):
                data = encoded_request(route.place.host_header, request)
                wire = self._kept(pool)
                if wire is not None:
                    try:
                        return await self._over(wire, pool, route, data, request.body_bytes_max)
                    except BrokenOffError as error:
                        if not error.is_unanswered:
                            raise
                    # The server closed it just then. It may have closed the others too.
                    self._drop(pool)
                wire = await self._connect(route)
                return await self._over(wire, pool, route, data, request.body_bytes_max)
        finally:
            pool.users -= 1
            self._forget(route, pool)

    def _turn_of(self, route: Route) -> AbstractAsyncContextManager[object]:
        """Regions wait for nobody else."""
        return nullcontext() if route.region else self._turn

    def _kept(self, pool: _Pool) -> Wire | None:
        while pool.idle:
            wire = pool.idle.pop()
            self._idle.pop(wire).timer.cancel()
            if wire.is_open:
                return wire
            wire.abort()
        return None

    async def _connect(self, route: Route) -> Wire:
        # As many as there may be are open, and at least this one's turn is without a connection: one idles.
        while len(self._open) + self._opening >= self._connections_max and self._idle:
            self._close(next(iter(self._idle)))
        self._opening += 1
        try:
            wire = await self._connecting.connect(route, self._ended)
        finally:
            self._opening -= 1
        if not wire.is_open:
            raise BrokenOffError("the server closed the connection at once")
        self._open.add(wire)
        return wire

    async def _over(self, wire: Wire, pool: _Pool, route: Route, data: bytes, body_bytes_max: int) -> Page:
        page = await wire.exchange(data, body_bytes_max)
        if wire.is_open:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(route.idle_ms_max / 1000, self._close, wire)
            pool.idle.append(wire)
            self._idle[wire] = _Idle(pool, route, timer)
        else:
            wire.abort()
        return page

    def _drop(self, pool: _Pool) -> None:
        while pool.idle:
            self._close(pool.idle[-1])

    def _close(self, wire: Wire) -> None:
        """Close a connection that idles."""
        # Not when asyncio gets round to telling of its end: room is wanted now.
        self._ended(wire)
        wire.abort()

    def _ended(self, wire: Wire) -> None:
        """Forget a connection that is gone."""
        self._open.discard(wire)
        idle = self._idle.pop(wire, None)
        if idle is not None:
            idle.timer.cancel()
            idle.pool.idle.remove(wire)
            self._forget(idle.route, idle.pool)

    def _forget(self, route: Route, pool: _Pool) -> None:
        if not pool.users and not pool.idle and self._pools.get(route) is pool:
            del self._pools[route]

    async def close(self) -> None:
        """Close every connection; requests that wait for answers fail."""
        for wire in tuple(self._idle):
            self._close(wire)
        for wire in tuple(self._open):
            wire.abort()
        # asyncio tells of the ends in the next steps of the loop.
        await asyncio.sleep(0)
