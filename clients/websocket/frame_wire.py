"""The way of frames to one client, kept apart from the protocol for its size; see `DirectWriter`."""

from typing import Any

from homeserver.http.write import DirectWriter

__all__ = ["FrameWire"]


class FrameWire(DirectWriter):
    """What a connection writes its frames to.

    Args:
        protocol: autobahn's, whose state is kept here as far as writing needs it.

    Attributes:
        is_open: no Close was sent, and the connection is there.
    """

    __slots__ = ("_factory", "_protocol", "is_open")

    def __init__(self, protocol: Any) -> None:
        super().__init__(protocol.transport)
        self._protocol = protocol
        self._factory = protocol.factory
        self.is_open = True

    def send(self, frame: bytes) -> None:
        """Send one text message; ignored once the connection is closed."""
        if self.is_open:
            # Not sendMessage: its size limit counts for both directions, and a complete sync may be larger.
            self.write(self._factory.encoded(frame))

    def close(self, code: int, reason: str) -> None:
        """Close the connection with a code."""
        if self.is_open:
            # Not sendClose: it lets nobody use the codes that the standard keeps for servers.
            self._protocol.sendCloseFrame(code, reason.encode(), isReply=False)

    def pause_reading(self) -> None:
        """Take no more bytes from the client."""
        self._transport.pauseProducing()

    def resume_reading(self) -> None:
        """Take bytes from the client again."""
        self._transport.resumeProducing()
