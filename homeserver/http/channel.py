"""One HTTP/1.1 connection: Twisted's parser with our limits, our headers, and errors that a client can read.

Where Twisted would answer with an empty 400 and close, the client here gets an error of the specification
and the time to read it. Header fields are kept in a plain dict, a third cheaper for a small request.
"""

import re
from dataclasses import replace
from typing import Any, Protocol

from twisted.internet.interfaces import IHalfCloseableDescriptor
from twisted.protocols.policies import ProtocolWrapper
from twisted.web.http import HTTPChannel

from homeserver.core.errors import MatrixError, TooLarge, UnknownError
from homeserver.http.certificates import names_shown_by
from homeserver.http.dispatch import RawRequest
from homeserver.http.encode import ResponseEncoder
from homeserver.http.errors import error_response
from homeserver.http.response import Response
from homeserver.http.write import DirectWriter
from homeserver.runtime.observation import ConnectionRefused, Observer

__all__ = ["Channel", "Express", "Responder", "Site", "plain_get"]

_FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\xb0]+) (HTTP/1\.[01])(?=\r\n|\Z)")
"""What Twisted accepts as one, too; it looks at each byte by itself."""

_LENGTH_FIELDS = {"content-length": b"Content-Length", "transfer-encoding": b"Transfer-Encoding"}
"""What says how long the body is, as Twisted spells it."""

_FIELD_BYTES_MAX = 256
_FIELDS_MAX = 2048
_NEVER_CACHED = {*_LENGTH_FIELDS, "authorization", "cookie"}
"""Secrets have no business in a cache, and what decides the length is looked at each time."""

_SPECIAL_FIELDS = {*_LENGTH_FIELDS, "connection", "expect", "upgrade"}
_KEPT_ALIVE = ("connection", "keep-alive")

_fields: dict[bytes, tuple[str, str]] = {}
"""Header fields that were parsed already: a client sends nearly the same ones with each request."""


class Responder(Protocol):
    """Answers requests: the dispatcher, or a double in tests."""

    @property
    def body_bytes_max(self) -> int:
        """Larger bodies are refused while they arrive, unless `body_bytes_max_of` allows them."""

    def body_bytes_max_of(self, method: bytes, target: bytes) -> int:
        """How large the body of this request may be."""

    async def respond(self, raw: RawRequest) -> Response:
        """Answer a request; never raises."""


class Express(Protocol):
    """Answers some requests by a shorter way, to the same effect."""

    def take(self, channel: "Channel", head: bytes) -> bool:
        """Begin to answer a request without a body, of which this is all; or leave it, and return False."""


class Site(Protocol):
    """What a connection needs to know of the listener that it belongs to."""

    responder: Responder
    observer: Observer
    encoder: ResponseEncoder
    header_bytes_max: int
    express: Express | None
    channels: "set[Channel]"
    sweeps: int

    def make_request(self, channel: "Channel", queued: object) -> Any:
        """A request that is about to come over `channel`."""


class Channel(HTTPChannel):
    """One connection.

    Attributes:
        site: what it belongs to.
        client_address: IP address of the other end.
        is_refused: an error was sent, the connection is closed for more, and what still comes is dropped.
        active_at: the site's sweep at which the connection last got somewhere.
    """

    requestFactory: Any  # noqa: N815 - Twisted's name
    transport: Any
    _path: Any
    _networkProducer: Any  # noqa: N815 - Twisted's name
    _dataBuffer: list[bytes]  # noqa: N815 - Twisted's name
    callLater: Any  # noqa: N815 - Twisted's name
    # Idle connections are swept; two timers per request would cost as much as parsing it.
    timeOut = None  # noqa: N815 - Twisted's name

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site
        self.requestFactory = site.make_request
        self.client_address = ""
        self.is_refused = False
        self.active_at = site.sweeps
        self.totalHeadersSize = site.header_bytes_max
        self.MAX_LENGTH = site.header_bytes_max
        self._successor: Any = None
        self._certificate_names: frozenset[str] | None = None
        self._held: list[bytes] = []
        self._writer: DirectWriter | None = None  # until the first response: a WebSocket has none

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered."""
        return self._handlingRequest

    @property
    def is_sending(self) -> bool:
        """Whether the client has yet to read much of what it was sent."""
        return self._waitingForTransport

    @property
    def is_receiving_body(self) -> bool:
        """Whether the head of a request is here, and its body is not yet."""
        return self._transferDecoder is not None

    @property
    def is_of_region(self) -> bool:
        """Whether a request came over it that had the other end's certificate looked at, and there is one."""
        return bool(self._certificate_names)

    def certificate_names(self) -> frozenset[str]:
        """The names in the certificate that the other end showed, if it was asked for one and has one."""
        if self._certificate_names is None:
            self._certificate_names = names_shown_by(self.transport)
        return self._certificate_names

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        """Note the client."""
        super().connectionMade()
        self.client_address = getattr(self.transport.getPeer(), "host", "")
        self.site.channels.add(self)

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802 - Twisted's name
        """Cancel what is going on for the client."""
        self.site.channels.discard(self)
        super().connectionLost(reason)

    def send(self, data: bytes) -> None:
        """Write a response."""
        writer = self._writer
        if writer is None:
            writer = self._writer = DirectWriter(self.transport)
        writer.hold()  # Twisted may have written to the transport meanwhile
        writer.write(data)

    def lineReceived(self, line: bytes) -> None:  # noqa: N802 - Twisted's name
        """Take a line of the head of a request, within the limit."""
        if self.is_refused:
            return
        if self._receivedHeaderSize + len(line) > self.totalHeadersSize:
            self._refuse_head()
            return
        super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: ARG002, N802 - Twisted's name and argument
        """Refuse a line that alone is over the limit of all."""
        if not self.is_refused:
            self._refuse_head()

    def rawDataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Take a part of a body, or what comes while a request is being answered."""
        if self._successor is not None:
            self._successor.dataReceived(data)
        elif not self.is_refused:
            super().rawDataReceived(data)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Take what came; a head that came whole, as nearly all do, is not fed to Twisted line by line."""
        is_between_requests = self.line_mode and not self._buffer and not self._receivedHeaderSize
        if is_between_requests and self.persistent and not self._busyReceiving:
            end = data.find(b"\r\n\r\n")
            express = self.site.express
            is_whole = end + 4 == len(data) < self.totalHeadersSize
            if is_whole and express is not None and not self.is_refused and express.take(self, data):
                return
            if 0 < end < self.totalHeadersSize and self._take_head(data[:end]):
                data = self._take_whole_body(data[end + 4 :])
                if not data:
                    return
        super().dataReceived(data)

    def begin(self, request: Any) -> None:
        """Begin to answer a request that did not come by the parser; `finish` or `give_back` follows."""
        self.active_at = self.site.sweeps
        self.requests.append(request)
        self._handlingRequest = True
        self.setRawMode()  # what comes until then is kept

    def finish(self, request: Any, response: Response) -> None:
        """Send the answer to such a request."""
        self.send(self.site.encoder.encode(response))
        self.requestDone(request)

    def give_back(self, request: Any, head: bytes) -> None:
        """Let such a request be answered in the ordinary way."""
        self.requests.remove(request)
        self._handlingRequest = False
        self.line_mode = 1
        if not self._take_head(head[:-4]):
            super().dataReceived(head)

    def _take_head(self, head: bytes) -> bool:
        """Take a whole head; returns False for what is rare and left to Twisted, whose answer is the same."""
        asked = _REQUEST_LINE.match(head)
        lines = head.split(b"\r\n")
        is_rare = asked is None or len(lines) > self.maxHeaders or b"\r\n " in head or b"\r\n\t" in head
        if is_rare or self.is_refused:
            return False
        assert asked is not None
        request = self.site.make_request(self, None)
        self.requests.append(request)
        self._command, self._path, self._version = asked.groups()
        headers, known = request.headers, _fields.get
        for line in lines[1:]:
            field = known(line)
            if field is not None and field[0] not in headers:
                headers[field[0]] = field[1]
            elif not self.headerReceived(line):
                return True
        self.allHeadersReceived()
        if self.length == 0:
            self.allContentReceived()
        else:
            self.setRawMode()
        return True

    def _take_whole_body(self, data: bytes) -> bytes:
        """Take the body if all of it is here; returns what is left to Twisted."""
        length = self.length
        if not length or length > len(data) or self.is_refused:
            return data
        self.requests[-1].handleContentChunk(data[:length])
        self.allContentReceived()
        return data[length:]

    def headerReceived(self, line: bytes) -> bool:  # noqa: N802 - Twisted's name
        """Keep one header field; returns whether the request may go on."""
        field = _fields.get(line) or _field(line)
        if field is None:
            self._respondToBadRequestAndDisconnect()
            return False
        key, value = field
        self._receivedHeaderCount += 1
        if self._receivedHeaderCount > self.maxHeaders:
            self._refuse_head()
            return False
        if key == "content-length" and len(value) > 18:
            self.refuse_body()
            return False
        decides_length = _LENGTH_FIELDS.get(key)
        if decides_length and not self._maybeChooseTransferDecoder(decides_length, value.encode("latin-1")):
            return False
        headers = self.requests[-1].headers
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
        return True

    def allHeadersReceived(self) -> None:  # noqa: N802 - Twisted's name
        """Decide from the head how the body comes and whether the connection goes on after the answer."""
        headers = self.requests[-1].headers
        self.active_at = self.site.sweeps
        is_current = self._version == b"HTTP/1.1"
        connection = headers.get("connection")
        self.persistent = is_current and (connection is None or "close" not in connection.lower())
        if self.length is not None and self.is_too_large(self.length):
            self.refuse_body()
        elif is_current and headers.get("expect", "").lower() == "100-continue":
            self._send100Continue()

    def requestDone(self, request: Any) -> None:  # noqa: N802 - Twisted's name
        """Make way for the next request, once the client has read enough of the responses before it."""
        self.active_at = self.site.sweeps
        if self._waitingForTransport:
            # A client that does not read its responses is not let ask for more of them, nor are those made
            # that it has asked for already: each may be large.
            self._held += self._dataBuffer
            self._dataBuffer = []
        super().requestDone(request)
        if self._waitingForTransport and not self._handlingRequest:
            self._networkProducer.pauseProducing()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Go on: the client has read what it was sent."""
        super().resumeProducing()
        if self._held:
            data, self._held = b"".join(self._held), []
            self.dataReceived(data)

    def is_too_large(self, body_bytes: int) -> bool:
        """Whether the body of the request whose head came last is longer than its endpoint takes."""
        return body_bytes > self.site.responder.body_bytes_max and body_bytes > self._body_bytes_max()

    def _body_bytes_max(self) -> int:
        return self.site.responder.body_bytes_max_of(self._command, self._path)

    def refuse_body(self) -> None:
        """Refuse a request because of the size of its body."""
        self.refuse(TooLarge(f"The body must not be larger than {self._body_bytes_max()} bytes."))

    def _refuse_head(self) -> None:
        limit = f"{self.totalHeadersSize} bytes or {self.maxHeaders} fields"
        self.refuse(TooLarge(f"The head of the request must not be larger than {limit}."), 431)

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802 - Twisted's name
        self.refuse(UnknownError("This is not a request of HTTP/1.1."))

    def refuse(self, error: MatrixError, status: int | None = None) -> None:
        """Tell an error and take nothing more from the connection.

        Only our half of the connection is closed. Closing all of it while the client still sends would
        reset the connection, and the client would never see why; the next sweeps end it for good.
        """
        if self.is_refused:
            return
        self.is_refused = True
        response = error_response(error)
        if status is not None:
            response = replace(response, status=status)
        self.transport.write(self.site.encoder.encode(response, closes=True))
        self.site.observer(ConnectionRefused(self.client_address, response.status, error.error))
        self.active_at = self.site.sweeps
        # Under TLS the half that would be closed is not ours alone: what is encrypted may not have left yet.
        is_plain = not isinstance(self.transport, ProtocolWrapper)
        if is_plain and IHalfCloseableDescriptor.providedBy(self.transport):
            self.transport.loseWriteConnection()
        else:
            self.loseConnection()

    def give_way(self, successor: Any) -> Any:
        """Let `successor` have the connection; returns the transport."""
        self.site.channels.discard(self)
        self._networkProducer.unregisterProducer()
        self._networkProducer.resumeProducing()
        self.requests.clear()
        self._successor = successor
        return self.transport


def plain_get(head: bytes) -> tuple[bytes, dict[str, str]] | None:
    """The target and the header fields of a GET on a connection that goes on, without a body or an upgrade.

    None if it is anything else, or in any way unusual.
    """
    asked = _REQUEST_LINE.match(head)
    if asked is None or asked[1] != b"GET" or asked[3] != b"HTTP/1.1":
        return None
    headers: dict[str, str] = {}
    for line in head.split(b"\r\n")[1:-2]:
        field = None if line[:1] in (b" ", b"\t") else _field(line)
        if field is None or field[0] in headers or (field[0] in _SPECIAL_FIELDS and field != _KEPT_ALIVE):
            return None
        headers[field[0]] = field[1]
    return asked[2], headers


def _field(line: bytes) -> tuple[str, str] | None:
    """The lower-case name and the value of a header field, or None if it is none."""
    name, colon, value = line.partition(b":")
    value = value.strip(b" \t")
    if not colon or not _FIELD_NAME.fullmatch(name) or b"\0" in value or b"\r" in value or b"\n" in value:
        return None
    field = name.decode().lower(), value.decode("latin-1")
    if len(line) <= _FIELD_BYTES_MAX and field[0] not in _NEVER_CACHED:
        if len(_fields) >= _FIELDS_MAX:
            _fields.clear()
        _fields[line] = field
    return field
