"""HTTP/1.1 over Twisted: from a connection to `Dispatcher.respond` and back.

Twisted parses (`homeserver.http.channel`); everything above is ours. Each request is answered in an asyncio
task of its own, which is cancelled when its client goes away. A response leaves in one write.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.protocol import ServerFactory
from twisted.protocols.policies import ProtocolWrapper
from twisted.web import http

from homeserver.core.errors import Unavailable
from homeserver.http.channel import Channel, Express, Responder
from homeserver.http.cors import CORS_HEADERS
from homeserver.http.dispatch import RawRequest
from homeserver.http.encode import ResponseEncoder
from homeserver.http.response import Response
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Observer, RequestFailed

__all__ = [
    "CLIENT_ADDRESS_HEADER", "HttpSite", "UpgradeHook", "WireRequest", "make_site", "websocket_upgrade",
]  # fmt: skip

CLIENT_ADDRESS_HEADER = "x-isthmus-client-address"
"""Added to the handshake that a WebSocket protocol sees: the client's address, behind a trusted proxy too."""

CONNECTIONS_MAX = 50_000
"""More connections than this are closed at once; the operator's limit on open files is usually lower."""

SWEEP_S = 5
"""How often idle connections are looked for."""

IDLE_S_MAX = 60
"""How long a connection may send no whole head of a request; a trickle does not prolong it."""

REGION_IDLE_S_MAX = 3_600
"""The same for a connection of one of the organisation's own servers, which are few and keep theirs."""

BODY_S_MAX = 120
"""How long a body may take to arrive."""

SEND_S_MAX = 600
"""How long a client may take to read a response."""

REFUSED_S_MAX = 10
"""How long a client whose request was refused may take to notice."""

LONG_BODIES_BYTES_MAX = 268_435_456
"""Of bodies that are longer than most endpoints take, as servers send them: of all connections together."""

class WireRequest(http.Request):
    """A request as it comes off the wire.

    Attributes:
        headers: lower-case names; repeated fields are joined by commas.
    """

    channel: Any

    def __init__(self, channel: Channel, site: "HttpSite") -> None:
        # Not calling the base: it makes two header tables and two address objects that nothing here reads.
        self.channel = channel
        self.site = site
        self.notifications = []
        self.headers: dict[str, str] = {}
        self._chunks: list[bytes] = []
        self._body_bytes = 0
        self._long_bytes = 0
        self._task: asyncio.Task[None] | None = None

    def gotLength(self, length: int | None) -> None:  # noqa: N802 - Twisted's name
        """Make no file for the body: it is bounded and kept in memory."""

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Keep a part of the body, up to the limit."""
        self._body_bytes += len(data)
        if self.channel.is_too_large(self._body_bytes):
            self._drop_body()
            self.channel.refuse_body()
        elif self._body_bytes > self.site.responder.body_bytes_max and not self._hold_long_body():
            self._drop_body()
            self.channel.refuse(Unavailable("This server has no room for long bodies now; try again later."))
        else:
            self._chunks.append(data)

    def _hold_long_body(self) -> bool:
        """Take room for what is here of a long body; returns whether there is any."""
        more = self._body_bytes - self._long_bytes
        if self.site.long_bodies_bytes + more > LONG_BODIES_BYTES_MAX:
            return False
        self.site.long_bodies_bytes += more
        self._long_bytes = self._body_bytes
        return True

    def _drop_body(self) -> None:
        self._chunks.clear()
        self.site.long_bodies_bytes -= self._long_bytes
        self._long_bytes = 0

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802 - Twisted's name
        """Begin to answer, now that the whole request is here."""
        self.method, self.uri, self.clientproto = command, path, version
        channel = self.channel
        # A body that was refused still ends at some time.
        if channel is not None and not channel.is_refused:
            self.process()

    def process(self) -> None:
        """Hand the connection over where it is upgraded, else answer in a task of its own."""
        site = self.site
        if "upgrade" in self.headers and site.upgrades:
            hook = site.upgrades.get(self.uri.partition(b"?")[0])
            if hook is not None and hook(self):
                return
        body = b"".join(self._chunks)
        raw = RawRequest(
            self.method.decode(), self.uri, self.headers, body, self.client_address,
            self.channel.certificate_names,
        )  # fmt: skip
        self._task = asyncio.get_running_loop().create_task(self._serve(raw))

    @property
    def client_address(self) -> str:
        """IP address of the client, as a trusted proxy tells it, else as the connection does."""
        if self.site.trust_forwarded_for:
            # The last entry is the one that our own proxy appended; those before it are the client's word.
            forwarded = self.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
            if forwarded:
                return forwarded
        address: str = self.channel.client_address
        return address

    async def _serve(self, raw: RawRequest) -> None:
        try:
            response = await self.site.responder.respond(raw)
            self.answer(response)
        except Exception as error:  # noqa: BLE001 - nobody else would see it
            path = raw.target.partition(b"?")[0].decode(errors="replace")
            self.site.observer(RequestFailed(error=error, method=raw.method, path=path, request_id=""))
            if self.channel is not None:
                self.channel.transport.abortConnection()

    def answer(self, response: Response) -> None:
        """Send the response, whole, and make way for the next request on the connection."""
        channel = self.channel
        if channel is None:
            return
        data = self.site.encoder.encode(
            response, with_body=self.method != b"HEAD", closes=not channel.persistent
        )
        channel.send(data)
        self._drop_body()
        self.finished = 1
        self._task = None
        self.channel = None
        channel.requestDone(self)

    def connectionLost(self, reason: Any) -> None:  # noqa: ARG002, N802 - Twisted's name and argument
        """Cancel the work for a client that is gone."""
        self.channel = None
        self._drop_body()
        self.cancel()

    def cancel(self) -> "asyncio.Task[None] | None":
        """Cancel the work on this request, if there is any; returns what to wait for."""
        if self._task is not None:
            self._task.cancel()
        return self._task


UpgradeHook = Callable[[WireRequest], bool]
"""Takes the connection of a request over and returns True, or leaves it and returns False."""


class HttpSite(ServerFactory):
    """Makes the connections of one listener and ends those that idle.

    Attributes:
        channels: the open connections.
        express: knows a shorter way for some requests; None: there is none.
        sweeps: how often idle connections were looked for.
        long_bodies_bytes: how much is here of bodies that are longer than most endpoints take.
    """

    noisy = False

    def __init__(
        self,
        responder: Responder,
        *,
        observer: Observer,
        encoder: ResponseEncoder,
        reactor: Any,
        upgrades: Mapping[bytes, UpgradeHook],
        trust_forwarded_for: bool,
        header_bytes_max: int,
    ) -> None:
        self.responder = responder
        self.express: Express | None = None
        self.observer = observer
        self.encoder = encoder
        self.upgrades = upgrades
        self.trust_forwarded_for = trust_forwarded_for
        self.header_bytes_max = header_bytes_max
        self.channels: set[Channel] = set()
        self.sweeps = 0
        self.long_bodies_bytes = 0
        self._reactor = reactor
        self._sweep_call: Any = None

    def buildProtocol(self, addr: Any) -> Channel | None:  # noqa: N802, ARG002 - Twisted's name and argument
        """Make the protocol of a new connection, or refuse it."""
        if len(self.channels) >= CONNECTIONS_MAX:
            return None
        channel = Channel(self)
        channel.callLater = self._reactor.callLater
        return channel

    def make_request(self, channel: Channel, queued: object) -> WireRequest:  # noqa: ARG002 - Twisted passes it
        """A request that is about to come over `channel`."""
        return WireRequest(channel, self)

    def startFactory(self) -> None:  # noqa: N802 - Twisted's name
        """Begin to look for idle connections."""
        self._sweep_call = self._reactor.callLater(SWEEP_S, self._sweep)

    def stopFactory(self) -> None:  # noqa: N802 - Twisted's name
        """Stop looking for idle connections."""
        if self._sweep_call is not None and self._sweep_call.active():
            self._sweep_call.cancel()

    def _sweep(self) -> None:
        self.sweeps += 1
        self._sweep_call = self._reactor.callLater(SWEEP_S, self._sweep)
        for channel in tuple(self.channels):
            if (self.sweeps - channel.active_at) * SWEEP_S > _patience_s(channel):
                channel.transport.abortConnection()

    async def close(self) -> None:
        """Cancel the work on every request, wait for its end and drop the connections."""
        channels = tuple(self.channels)
        tasks = [task for channel in channels for request in channel.requests if (task := request.cancel())]
        if tasks:
            await asyncio.wait(tasks)
        for channel in channels:
            channel.transport.abortConnection()


def _patience_s(channel: Channel) -> float:
    """How long the connection may go on as it is."""
    if channel.is_refused:
        return REFUSED_S_MAX
    if channel.is_busy:
        # The endpoint's own deadline ends this.
        return math.inf
    if channel.is_receiving_body:
        return BODY_S_MAX
    if channel.is_sending:
        return SEND_S_MAX
    return REGION_IDLE_S_MAX if channel.is_of_region else IDLE_S_MAX


def make_site(
    responder: Responder,
    *,
    observer: Observer,
    clock: Clock,
    reactor: Any,
    upgrades: Mapping[str, UpgradeHook] | None = None,
    trust_forwarded_for: bool = False,
    allow_browsers: bool = True,
    header_bytes_max: int = 16_384,
) -> HttpSite:
    """Make what a Twisted endpoint listens with (`endpoint.listen(site)`).

    Args:
        responder: the dispatcher of the APIs that the listener serves.
        observer: told of refused connections.
        clock: for the `Date` header.
        reactor: for timeouts.
        upgrades: by path (without the query): what may take the connection over where the client asks for
            an upgrade; see `websocket_upgrade`. Without the `Upgrade` header the path goes to the responder.
        trust_forwarded_for: the listener is reached only by a proxy that appends to `X-Forwarded-For`.
        allow_browsers: send the CORS headers of the client-server API.
        header_bytes_max: larger heads of requests are refused.
    """
    hooks = {path.encode(): hook for path, hook in (upgrades or {}).items()}
    return HttpSite(
        responder,
        observer=observer,
        encoder=ResponseEncoder(clock, CORS_HEADERS if allow_browsers else {}),
        reactor=reactor,
        upgrades=hooks,
        trust_forwarded_for=trust_forwarded_for,
        header_bytes_max=header_bytes_max,
    )


def websocket_upgrade(factory: Any) -> UpgradeHook:
    """Make the hook that gives a connection to `factory`, a `WebSocketServerFactory` of autobahn.

    The protocol gets the handshake as if it had read it from the wire itself, with one more header,
    `x-isthmus-client-address`, and owns the transport from then on.
    """

    def upgrade(request: WireRequest) -> bool:
        channel = request.channel
        if channel is None or request.headers["upgrade"].lower() != "websocket":
            return False
        protocol = factory.buildProtocol(channel.transport.getPeer())
        if protocol is None:
            return False
        headers = {**request.headers, CLIENT_ADDRESS_HEADER: request.client_address}
        head = [request.method + b" " + request.uri + b" HTTP/1.1"]
        head += [f"{name}: {value}".encode("latin-1") for name, value in headers.items()]
        transport = channel.give_way(protocol)
        if isinstance(transport, ProtocolWrapper):
            transport.wrappedProtocol = protocol
        else:
            transport.protocol = protocol
        protocol.makeConnection(transport)
        protocol.dataReceived(b"\r\n".join(head) + b"\r\n\r\n")
        return True

    return upgrade
