"""The sync stream as an async iterator: each delta once, in order, over as many connections as it takes."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, Self

from clients.websocket_client.delta import Delta
from clients.websocket_client.errors import ClientError, ProtocolViolated, Refused, StreamReplaced
from clients.websocket_client.frames import Problem, Pushed, acknowledge_frame, sync_frame

__all__ = ["DELTAS_WAITING_MAX", "Line", "SyncStream"]

DELTAS_WAITING_MAX = 128
"""The server sends no more than this many unacknowledged."""

_OWED_MAX = 32
_OWED_SIZE_MAX = 1_000_000
"""An acknowledgement costs the server more than a delta, so there is one for many."""


class Line(Protocol):
    """The connection that a stream is on."""

    has_streamed: bool

    async def say(self, frame: str) -> None:
        """Send one frame; nothing happens if the connection is over."""


class SyncStream:
    """The deltas of one client. Asking for the next one says that the one before has been dealt with.

    The server is told so now and then, well before it would hold back.

    When a connection is lost, the stream goes on behind the last delta that was handed out, so nothing is
    lost and nothing comes twice. To go on in another process, keep the `token` of the last delta that was
    dealt with and give it as `since`.

    Args:
        options: the members of the `sync` frame, without `since`.
        since: the token behind which to start; None: a complete sync comes first.
        begin: called before the first delta is waited for; brings the stream onto a connection.
        end: called once when the stream is closed.
    """

    def __init__(
        self,
        options: dict[str, Any],
        since: str | None,
        begin: Callable[["SyncStream"], Awaitable[None]],
        end: Callable[["SyncStream"], Awaitable[None]],
    ) -> None:
        self._options = options
        self._token = since
        self._begin = begin
        self._end = end
        self._has_begun = False
        self._line: Line | None = None
        self._owed = 0
        self._owed_size = 0
        self._is_due = False
        self._waiting: deque[Pushed] = deque()
        self._news = asyncio.Event()
        self._failure: ClientError | None = None

    @property
    def token(self) -> str | None:
        """The token of the last delta that was handed out."""
        return self._token

    def __aiter__(self) -> "SyncStream":
        return self

    async def __anext__(self) -> Delta:
        """The next delta, when there is one.

        Raises:
            Refused: the server ended the stream; `M_UNKNOWN_TOKEN` if the access token is no longer valid.
            ClientError: the client was closed or gave up, or another stream was started.
        """
        if not self._has_begun:
            self._has_begun = True
            await self._begin(self)
        elif self._is_due and self._line is not None and self._token is not None:
            self._owe_nothing()
            await self._line.say(acknowledge_frame(self._token))
        while not self._waiting:
            if self._failure is not None:
                raise self._failure
            self._news.clear()
            await self._news.wait()
        pushed = self._waiting.popleft()
        self._token = pushed.token
        self._owed += 1
        self._owed_size += pushed.size
        # Messages to the device are kept by the server until it hears that they were dealt with.
        if self._owed >= _OWED_MAX or self._owed_size >= _OWED_SIZE_MAX or "to_device" in pushed.body:
            self._is_due = True
        return Delta(pushed.body)

    def _owe_nothing(self) -> None:
        self._owed = self._owed_size = 0
        self._is_due = False

    async def aclose(self) -> None:
        """End the stream; the delta handed out last is not acknowledged."""
        if not isinstance(self._failure, StreamReplaced):
            self.fail(StreamReplaced("The stream was closed."))
            await self._end(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def start_on(self, line: Line) -> None:
        """Go on, on this connection, behind what was handed out."""
        self._waiting.clear()  # what was not handed out comes again
        self._owe_nothing()
        self._line = line
        line.has_streamed = True
        await line.say(sync_frame(self._options, self._token))

    def take(self, heard: Pushed | Problem) -> None:
        """Take what the server says of this stream.

        Raises:
            ProtocolViolated: more deltas than may be on their way.
        """
        if isinstance(heard, Problem):
            self.fail(Refused(None, heard.body))
            return
        if len(self._waiting) >= DELTAS_WAITING_MAX:
            raise ProtocolViolated(f"More than {DELTAS_WAITING_MAX} deltas came unacknowledged.")
        self._waiting.append(heard)
        self._news.set()

    def fail(self, failure: ClientError) -> None:
        """Nothing more will come; what has come is still handed out, unless the stream was closed."""
        self._failure = self._failure or failure
        if isinstance(failure, StreamReplaced):
            self._failure = failure
            self._waiting.clear()
        self._news.set()
