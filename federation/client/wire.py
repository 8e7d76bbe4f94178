"""One connection to another server: HTTP/1.1, one request at a time, every part of the answer bounded."""

import asyncio
from collections.abc import Callable
from typing import Any

import httptools

from federation.client.ports import OutgoingRequest
from federation.well_known import Page

__all__ = ["HEADER_BYTES_MAX", "BrokenOffError", "TooLongError", "Wire", "encoded_request"]

HEADER_BYTES_MAX = 65_536
"""Of the heads of an answer, those of interim answers before it included."""


class BrokenOffError(Exception):
    """A connection ended before the answer was whole, or what came over it was no HTTP.

    Attributes:
        is_unanswered: not a byte of the answer came, so the server may have closed the connection before the
            request reached it.
    """

    def __init__(self, reason: str, *, is_unanswered: bool = False) -> None:
        super().__init__(reason)
        self.is_unanswered = is_unanswered


class TooLongError(Exception):
    """An answer over its limit."""


def encoded_request(host: str, request: OutgoingRequest) -> bytes:
    """A request as it goes over the wire.

    Args:
        host: what the `Host` header says.
        request: none of its texts holds a line break.
    """
    lines = [f"{request.method} {request.target} HTTP/1.1", f"Host: {host}", "User-Agent: Isthmus"]
    if request.authorization:
        lines.append(f"Authorization: {request.authorization}")
    if request.body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(request.body)}"]
    elif request.method in {"POST", "PUT"}:
        lines.append("Content-Length: 0")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii") + request.body


class Wire(asyncio.Protocol):
    """A connection.

    Attributes:
        exchanges: how many answers came over it whole.
    """

    def __init__(self, ended: Callable[["Wire"], None]) -> None:
        self.exchanges = 0
        self._ended = ended
        self._transport: Any = None
        self._waiting: asyncio.Future[Page] | None = None
        self._is_reusable = True
        self._begin(0)

    def _begin(self, body_bytes_max: int) -> None:
        self._parser: Any = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._head_left = HEADER_BYTES_MAX
        self._body_left = body_bytes_max
        # A body in tiny chunks is longer on the wire than it is, but not without end; nor are trailers.
        self._wire_left = HEADER_BYTES_MAX + 3 * body_bytes_max
        self._has_head = False
        self._is_bounded = False
        self._is_heard = False

    @property
    def is_open(self) -> bool:
        """Whether a request can go over it."""
        return self._is_reusable and self._transport is not None and not self._transport.is_closing()

    @property
    def peer_certificate(self) -> Any:
        """What Python tells of the server's certificate, verified; None without TLS."""
        return self._transport.get_extra_info("peercert")

    async def exchange(self, data: bytes, body_bytes_max: int) -> Page:
        """Send a request and wait for the whole answer. If that is cancelled the connection is at its end.

        Raises:
            BrokenOffError: the connection ended.
            TooLongError: the answer is over its limit.
        """
        assert self._waiting is None
        if not self.is_open:
            raise BrokenOffError("the connection is closed", is_unanswered=True)
        self._begin(body_bytes_max)
        waiting: asyncio.Future[Page] = asyncio.get_running_loop().create_future()
        self._waiting = waiting
        self._transport.write(data)
        try:
            return await waiting
        finally:
            self._waiting = None
            if not waiting.done() or waiting.cancelled():
                self.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        self._is_reusable = False
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to the server."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take in a part of the answer."""
        if self._waiting is None or self._waiting.done():
            # Nobody asked.
            self.abort()
            return
        self._is_heard = True
        self._wire_left -= len(data)
        if not self._has_head:
            self._head_left -= len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(BrokenOffError("the server changes to another protocol"))
        except httptools.HttpParserCallbackError as error:
            reason = error.__context__
            self._fail(reason if isinstance(reason, TooLongError) else BrokenOffError(str(reason)))
        except httptools.HttpParserError as error:
            self._fail(BrokenOffError(f"no HTTP: {error}"))
        else:
            if self._wire_left < 0 or (not self._has_head and self._head_left < 0):
                self._fail(TooLongError("the answer is too long"))

    def eof_received(self) -> bool:
        """Let the connection end."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note of the end, which is that of an answer without a length, too."""
        self._is_reusable = False
        if self._waiting is not None and not self._waiting.done():
            if exc is None and self._has_head and not self._is_bounded:
                self._finish()
            else:
                reason = "the server closed the connection" if exc is None else f"the connection broke: {exc}"
                self._fail(BrokenOffError(reason, is_unanswered=not self._is_heard))
        self._ended(self)

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; repeated ones are joined."""
        self._refuse_more()
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """Look at how long the body says it is."""
        self._refuse_more()
        if self._parser.get_status_code() < 200:
            self._headers.clear()
            return
        self._has_head = True
        length = self._headers.get("content-length", "")
        self._is_bounded = bool(length) or "transfer-encoding" in self._headers
        if length.isdigit() and int(length) > self._body_left:
            raise TooLongError("the answer says that it is too long")

    def _refuse_more(self) -> None:
        if self._waiting is None or self._waiting.done():
            raise BrokenOffError("more than one answer came")

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body, up to the limit."""
        self._body_left -= len(body)
        if self._body_left < 0:
            raise TooLongError("the answer is too long")
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """End the answer, unless it was an interim one."""
        if self._has_head:
            self._is_reusable = self._is_reusable and self._parser.should_keep_alive()
            self._finish()

    def _finish(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self.exchanges += 1
            page = Page(self._parser.get_status_code(), self._headers, b"".join(self._parts))
            self._waiting.set_result(page)
            self._parts = []

    def _fail(self, error: Exception) -> None:
        self._parts = []
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        self.abort()
