"""The autobahn adapter: frames on a real connection. Everything else is in `session` and `connection`."""

from typing import Any
from urllib.parse import parse_qs

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.protocol import TrafficStats
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest

from clients.websocket.connection import Connection, Services
from clients.websocket.frame_wire import FrameWire
from clients.websocket.shedding import settled, shed
from clients.websocket.small_frames import whole_text
from homeserver.http.adapter import CLIENT_ADDRESS_HEADER
from homeserver.http.authenticate import access_token_of

__all__ = ["PATH", "SUBPROTOCOL", "WebSockets"]

PATH = "/_matrix/client/unstable/org.isthmus.websocket/v1"
SUBPROTOCOL = "org.isthmus.v1.json"

PING_INTERVAL_S = 30
PING_TIMEOUT_S = 20
HANDSHAKE_S_MAX = 10
FRAME_OVERHEAD_BYTES_MAX = 4_096
LAST_BYTES_MAX = 65_536
CLOSE_UNSUPPORTED = 1003


class ClientProtocol(WebSocketServerProtocol):
    """One connection on the wire."""

    transport: Any  # the interface that Twisted declares lacks the producer's half
    connection: Connection | None = None
    _wire: FrameWire | None = None
    _access_token: str | None = None
    _client_address = ""

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Take bytes in; most are one small frame, which costs autobahn five times as much to read.

        The rest goes past its debug log line, whose arguments cost more than the frame.
        """
        text = whole_text(data) if self._is_between_frames() else None
        if text is None or self.connection is None or len(text) > self.factory.text_bytes_max:
            if not self.failedByMe:  # else they have been told why, and what they still say is read no more
                self._dataReceived(data)
        else:
            self.connection.message(text)

    def _is_between_frames(self) -> bool:
        parser: Any = self
        if parser.data or parser.state != parser.STATE_OPEN:
            return False
        return parser.current_frame is None and not parser.inside_message

    def onConnect(self, request: ConnectionRequest) -> str:  # noqa: N802 - autobahn's name
        """Agree on the subprotocol, note who connects."""
        if SUBPROTOCOL not in request.protocols:
            raise ConnectionDeny(ConnectionDeny.BAD_REQUEST, f"Ask for the subprotocol {SUBPROTOCOL}.")
        query = parse_qs(self.http_request_uri.partition("?")[2])
        self._access_token = access_token_of(request.headers, query)
        self._client_address = request.headers.get(CLIENT_ADDRESS_HEADER, "")
        return SUBPROTOCOL

    def onOpen(self) -> None:  # noqa: N802 - autobahn's name
        """Begin the session."""
        factory: ClientFactory = self.factory
        # Not needed: a queue for writing bit by bit, what autobahn counts.
        self.send_queue: Any = ()
        self.trafficStats = factory.traffic
        self._wire = FrameWire(self)
        self.connection = Connection(
            factory.services, self._wire, access_token=self._access_token, client_address=self._client_address
        )
        factory.connections.add(self.connection)
        shed(self)
        self.transport.registerProducer(self, True)  # noqa: FBT003 - Twisted's parameter: a push producer

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: FBT001, N802, N803 - autobahn's names
        """Hand a message to the session."""
        if isBinary:
            self.sendCloseFrame(CLOSE_UNSUPPORTED, b"text messages only", isReply=False)
        elif self.connection is not None:
            self.connection.message(payload)

    def onCloseFrame(self, code: Any, reasonRaw: Any) -> bool:  # noqa: N802, N803 - autobahn's names; both may be None
        """Take the client's Close; one that is malformed is answered with what is wrong with it.

        Autobahn takes it for the answer to what it says of it, and drops the connection before that is sent.
        """
        if self.failedByMe:
            return False
        if self.state == self.STATE_OPEN:
            if not _is_close_code(code):
                self._protocol_violation(f"invalid close code {code}")
                return False
            if not _is_text(reasonRaw or b""):
                self._invalid_payload("the reason of a close must be UTF-8")
                return False
        return bool(super().onCloseFrame(code, reasonRaw))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:  # noqa: ARG002, FBT001, N802, N803 - autobahn's names
        """End the session."""
        if self.connection is not None:
            self.factory.connections.discard(self.connection)
            self.connection.lost()
            self.connection = None
        if self._wire is not None:
            self._wire.is_open = False

    # The producer whose consumer is the transport: our session.

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        """The client reads too slowly."""
        if self.connection is not None:
            self.connection.pause()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        """The client has read what there was."""
        if self.connection is not None:
            self.connection.resume()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        """The connection is going; `onClose` follows."""

    # What autobahn writes by itself: answers to pings, pings, Close.

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:  # noqa: FBT001, FBT002, N802 - autobahn's names
        """Write bytes, and let no frame of ours overtake them."""
        if self._wire is not None:
            self._wire.hold()
        super().sendData(data, sync, chopsize)

    def sendCloseFrame(  # noqa: N802 - autobahn's name
        self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False  # noqa: FBT001, FBT002, N803 - autobahn's names
    ) -> None:  # fmt: skip
        """Send a Close; nothing follows it."""
        super().sendCloseFrame(code, reasonUtf8, isReply)
        if self._wire is not None:
            self._wire.is_open = False


class ClientFactory(WebSocketServerFactory):
    """Makes connections and knows them."""

    noisy = False
    protocol = ClientProtocol

    def __init__(self, services: Services, reactor: Any) -> None:
        super().__init__(protocols=[SUBPROTOCOL], server="Isthmus", reactor=reactor)
        self.services = services
        self.connections: set[Connection] = set()
        self.text_bytes_max = services.responder.body_bytes_max + FRAME_OVERHEAD_BYTES_MAX
        self.traffic = TrafficStats()
        self._last: tuple[bytes, bytes] = (b"", _header(0))
        self.setProtocolOptions(
            versions=[13],
            webStatus=False,
            failByDrop=False,  # say why with a close code
            maxMessagePayloadSize=self.text_bytes_max,
            openHandshakeTimeout=HANDSHAKE_S_MAX,
            autoPingInterval=PING_INTERVAL_S,
            autoPingTimeout=PING_TIMEOUT_S,
            tcpNoDelay=True,
            # Any page may connect: the token is in the page's hands, never in a cookie.
            allowedOrigins=["*"],
            allowNullOrigin=True,
            perMessageCompressionAccept=lambda _: None,  # 112 KiB a connection: not worth it
        )
        options = {name: getattr(self, name) for name in ClientProtocol.CONFIG_ATTRS}
        self.protocol = settled(ClientProtocol, options)

    def encoded(self, text: bytes) -> bytes:
        """A text message as it goes over the wire; what goes to many in a row is encoded once."""
        last, encoded = self._last
        if text is not last:
            encoded = _header(len(text)) + text
            if len(text) <= LAST_BYTES_MAX:
                self._last = (text, encoded)
        return encoded


class WebSockets:
    """All WebSocket connections of a server.

    Attributes:
        factory: for `homeserver.http.adapter.websocket_upgrade`, at `PATH`.
    """

    def __init__(self, services: Services, reactor: Any) -> None:
        self.factory = ClientFactory(services, reactor)
        self._services = services

    async def close(self) -> None:
        """Tell every client that the server stops, and end all work for them."""
        for connection in tuple(self.factory.connections):
            connection.close()
        await self._services.tasks.close()


def _is_close_code(code: int | None) -> bool:
    """Whether a client may close with this code (RFC 6455, section 7.4)."""
    return code is None or code in ClientProtocol.CLOSE_STATUS_CODES_ALLOWED or 3_000 <= code < 5_000


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _header(size_bytes: int) -> bytes:
    """The header of an unmasked text frame (RFC 6455, section 5.2)."""
    if size_bytes <= 125:
        return bytes((0x81, size_bytes))
    if size_bytes <= 0xFFFF:
        return b"\x81\x7e" + size_bytes.to_bytes(2, "big")
    return b"\x81\x7f" + size_bytes.to_bytes(8, "big")
