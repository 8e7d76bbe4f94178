"""Opening connections: names to addresses, addresses that may be reached, the first that answers, and TLS."""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from federation.certificates import is_bound_to, names_of_peer
from federation.client.wire import Wire
from federation.places import Place
from homeserver.runtime.outgoing_http import AddressRules

__all__ = ["Connecting", "Route"]

CONNECT_S_MAX = 10.0
"""For one address, the TLS handshake included."""

NEXT_AFTER_S = 1.0
"""An address that has not answered so long goes on being tried, and the next one is tried beside it."""

ADDRESSES_MAX = 8
"""More addresses of a server are not tried."""

REGION_CONNECT_S_MAX = 3.0
"""Lines between regions are known to be good: what does not answer is cut, and may be back in a moment."""

_REGION_OPTIONS = (
    # What is sent and not acknowledged in 5 seconds ends the connection;
    ("IPPROTO_TCP", "TCP_USER_TIMEOUT", 5_000),
    # and so that something is sent while an answer is waited for, or while nobody asks: a sign of life.
    ("SOL_SOCKET", "SO_KEEPALIVE", 1),
    ("IPPROTO_TCP", "TCP_KEEPIDLE", 3),
    ("IPPROTO_TCP", "TCP_KEEPINTVL", 1),
    ("IPPROTO_TCP", "TCP_KEEPCNT", 5),
)
"""Options of connections to regions, as Linux has them, by which a line that is cut is soon noticed."""


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a server; connections are shared by those who go the same way.

    Attributes:
        place: where the server is.
        context: whom to believe.
        region: the server name that the certificate must be bound to; empty: it must be for the place's TLS
            name, by the ordinary rules.
        idle_ms_max: how long a connection is kept that nobody uses.
    """

    place: Place
    context: ssl.SSLContext
    region: str = ""
    idle_ms_max: int = 50_000


class Connecting:
    """Opens connections.

    Args:
        rules: which addresses may be reached; those of regions always may.
    """

    def __init__(self, rules: AddressRules) -> None:
        self._rules = rules

    async def connect(self, route: Route, ended: Callable[[Wire], None]) -> Wire:
        """Open a connection.

        Args:
            route: the way.
            ended: told once when the connection is gone.

        Raises:
            OSError: no address answers, or may be reached, or none is who it should be.
            ValueError: the name is none that TLS can ask for.
        """
        waiting = deque(await self._addresses(route))
        running: set[asyncio.Task[Wire]] = set()
        failure: BaseException = OSError("no address that may be reached")
        try:
            while waiting or running:
                if waiting:
                    running.add(asyncio.create_task(_opened(route, *waiting.popleft(), ended)))
                done, running = await asyncio.wait(
                    running, timeout=NEXT_AFTER_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    if (error := task.exception()) is None:
                        running |= done - {task}
                        return task.result()
                    failure = error
        finally:
            for task in running:
                _give_up(task)
        raise failure

    async def _addresses(self, route: Route) -> list[tuple[socket.AddressFamily, str, int]]:
        loop = asyncio.get_running_loop()
        reached: list[tuple[socket.AddressFamily, str, int]] = []
        failure: OSError | None = None
        for host, port in route.place.hosts:
            try:
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except OSError as error:
                failure = error
                continue
            for family, *_, place in found:
                address = str(place[0])
                if route.region or self._rules.allow(address):
                    reached.append((family, address, port))
        if not reached and failure is not None:
            raise failure
        return reached[:ADDRESSES_MAX]


def _give_up(task: "asyncio.Task[Wire]") -> None:
    """End what another connection was faster than."""
    if not task.done():
        task.cancel()
        task.add_done_callback(_give_up)
    elif not task.cancelled() and task.exception() is None:
        task.result().abort()


async def _opened(
    route: Route, family: socket.AddressFamily, address: str, port: int, ended: Callable[[Wire], None]
) -> Wire:
    loop = asyncio.get_running_loop()
    link = socket.socket(family, socket.SOCK_STREAM)
    try:
        async with asyncio.timeout(REGION_CONNECT_S_MAX if route.region else CONNECT_S_MAX):
            link.setblocking(False)  # noqa: FBT003 - the standard library's signature
            for level, option, value in _REGION_OPTIONS if route.region else ():
                # Other systems lack some.
                if hasattr(socket, option):
                    link.setsockopt(getattr(socket, level), getattr(socket, option), value)
            await loop.sock_connect(link, (address, port))
            _, wire = await loop.create_connection(
                lambda: Wire(ended), sock=link, ssl=route.context, server_hostname=route.place.tls_name
            )
    except BaseException:
        link.close()
        raise
    if route.region and not is_bound_to(names_of_peer(wire.peer_certificate), route.region):
        wire.abort()
        raise ssl.SSLCertVerificationError(f"the certificate is not bound to {route.region}")
    return wire
