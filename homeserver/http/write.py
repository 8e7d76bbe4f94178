"""Writes to a connection without the detour by the reactor."""

from collections.abc import Callable
from typing import Any

from twisted.internet.tcp import Connection

__all__ = ["DirectWriter"]


class DirectWriter:
    """Writes to one connection, again and again, without a look at the transport while nothing waits there.

    A message to 200 connections touches 200 of everything that is looked at, and none of it is in a cache:
    this is one small object each, instead of a protocol, a transport and their dictionaries.

    The reactor would wait until it hears that the socket is writable: two system calls and one more round of
    the loop for each write.

    Args:
        transport: to write to; nobody else does without saying `hold` first.
    """

    __slots__ = ("_send", "_transport", "_waits")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        is_plain = isinstance(transport, Connection) and not transport.TLS
        self._send: Callable[[bytes], int] | None = transport.socket.send if is_plain else None
        self._waits = True  # until the first look

    def hold(self) -> None:
        """Something goes to the transport by another way: it must not be overtaken, or broken into."""
        self._waits = True

    def write(self, data: bytes) -> None:
        """Write at once what the socket takes, and leave only the rest to the reactor."""
        send, transport = self._send, self._transport
        if send is None:
            transport.write(data)
            return
        if self._waits:
            if transport.dataBuffer or transport._tempDataBuffer:  # noqa: SLF001 - what waits must go first
                transport.write(data)
                return
            self._waits = False
        try:
            sent_bytes = send(data)
        except OSError:
            sent_bytes = 0  # the reactor meets it again and deals with it; also if the socket takes nothing
        if sent_bytes != len(data):
            self._waits = True
            transport.write(data[sent_bytes:])
