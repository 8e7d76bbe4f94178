"""Writes to a connection without the detour by the reactor."""

from typing import Any

from twisted.internet.tcp import Connection

__all__ = ["write_at_once"]


def write_at_once(transport: Any, data: bytes) -> None:
    """Write at once what the socket takes, and leave only the rest to the reactor.

    The reactor would wait until it hears that the socket is writable: two system calls and one more round of
    the loop for each write.
    """
    if (
        isinstance(transport, Connection)
        and not transport.TLS
        and not transport.dataBuffer
        and not transport._tempDataBuffer  # noqa: SLF001 - what waits must go first
    ):
        try:
            sent_bytes = transport.socket.send(data)
        except OSError:
            pass  # the reactor meets it again and deals with it; also if the socket takes nothing just now
        else:
            if sent_bytes == len(data):
                return
            data = data[sent_bytes:]
    transport.write(data)
