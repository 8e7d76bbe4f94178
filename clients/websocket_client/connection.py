"""One connection from its opening to its end: requests find their answers, deltas their taker."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from typing import Any

from clients.websocket_client.errors import ClientError, ConnectionLost, ProtocolViolated
from clients.websocket_client.frames import Answer, Problem, Pushed, read_frame, request_frame
from clients.websocket_client.wire import Wire

__all__ = ["Connection"]

Take = Callable[[Pushed | Problem], None]


class Connection:
    """An open wire.

    Args:
        wire: what carries the frames.
        take: gets what belongs to the sync stream, in order.

    Attributes:
        has_streamed: a stream was started on it, so that a delta of it may still be under way.
        has_heard: the server has sent a frame.
    """

    def __init__(self, wire: Wire, take: Take) -> None:
        self.has_streamed = False
        self.has_heard = False
        self._wire = wire
        self._take = take
        self._ids = itertools.count(1)
        self._answers: dict[int | str, asyncio.Future[Answer]] = {}

    async def say(self, frame: str) -> None:
        """Send one frame. That the connection is lost, its reader will notice: `run` tells of it."""
        with contextlib.suppress(ConnectionLost):
            await self._wire.send(frame)

    async def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Make one request and wait for its answer, whatever its status.

        Raises:
            ConnectionLost: the connection ended first.
        """
        number = next(self._ids)
        frame = request_frame(number, method, path, body)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            await self.say(frame)
            return await answer
        finally:
            self._answers.pop(number, None)

    async def run(self) -> ClientError:
        """Take what comes until the connection ends; returns why it did.

        All requests that wait for an answer fail before this returns.
        """
        reason: ClientError = ConnectionLost("The client was closed.")
        try:
            while True:
                self._hear(await self._wire.receive())
        except ClientError as error:
            reason = error
            return error
        finally:
            self._fail(reason)

    async def close(self) -> None:
        """Close the wire; `run` ends."""
        await self._wire.close()

    def _hear(self, text: str) -> None:
        heard = read_frame(text)
        self.has_heard = True
        if isinstance(heard, Answer):
            answer = self._answers.pop(heard.request_id, None)  # None: its deadline is past
            if answer is not None and not answer.done():
                answer.set_result(heard)
        elif isinstance(heard, Problem) and not heard.is_of_stream:
            raise ProtocolViolated(f"The server says that a frame of ours is bad: {heard.body}")
        elif heard is not None:
            self._take(heard)

    def _fail(self, reason: ClientError) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(reason)
                answer.exception()  # nobody may be waiting any more
        self._answers.clear()
