"""From a response to the bytes on the wire: head and body together, so that one write sends both."""

from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus

from homeserver.http.response import Response
from homeserver.runtime.clock import Clock

__all__ = ["ResponseEncoder"]

_HEADS_MAX = 256

_LENGTH = b"Content-Length: "

_WITHOUT_BODY = frozenset({204, 304})

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class ResponseEncoder:
    """Encodes responses of HTTP/1.1.

    Args:
        clock: for the `Date` header.
        common_headers: sent with every response.
    """

    def __init__(self, clock: Clock, common_headers: Mapping[str, str]) -> None:
        self._clock = clock
        self._common = _header_lines(common_headers)
        # What stands before the length is the same for nearly all responses.
        self._heads: dict[tuple[int, str], bytes] = {}
        self._date_s = -1
        self._date_line = b""

    def encode(self, response: Response, *, with_body: bool = True, closes: bool = False) -> bytes:
        """The bytes of `response`.

        Args:
            response: to be sent.
            with_body: False for the answer to HEAD, which only says how long the body would be.
            closes: say that the connection ends with this response.
        """
        key = (response.status, response.content_type)
        head = self._heads.get(key)
        if head is None:
            head = self._head(*key)
            if len(self._heads) < _HEADS_MAX:
                self._heads[key] = head
        now_s = self._clock.now_ms() // 1000
        if now_s != self._date_s:
            self._date_s = now_s
            self._date_line = f"\r\nDate: {formatdate(now_s, usegmt=True)}\r\n".encode()
        extra = _header_lines(response.headers) if response.headers else b""
        if closes:
            extra += b"Connection: close\r\n"
        if response.status in _WITHOUT_BODY:
            return b"".join((head[: -len(_LENGTH)], self._date_line[2:], extra, b"\r\n"))
        length = b"%d" % len(response.body)
        body = response.body if with_body else b""
        return b"".join((head, length, self._date_line, extra, b"\r\n", body))

    def _head(self, status: int, content_type: str) -> bytes:
        status_line = f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unknown')}\r\n".encode()
        typed = _header_lines({"Content-Type": content_type})
        return status_line + self._common + typed + _LENGTH


def _header_lines(headers: Mapping[str, str]) -> bytes:
    """Encode header fields; a line break in a value must not begin another field."""
    lines = []
    for name, value in headers.items():
        lines.append(f"{name}: {value}".replace("\r", " ").replace("\n", " ").encode())
        lines.append(b"\r\n")
    return b"".join(lines)
