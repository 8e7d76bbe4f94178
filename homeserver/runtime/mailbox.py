"""A bounded queue with one reader: how commands reach an actor."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

from homeserver.core.errors import Unavailable

__all__ = ["Mailbox", "MailboxClosed"]

Message = TypeVar("Message")


class MailboxClosed(Exception):
    """The mailbox is closed and everything in it has been read."""


class Mailbox(Generic[Message]):
    """Messages wait here, in order, for the one reader.

    Args:
        size_max: how many messages may wait.
    """

    def __init__(self, size_max: int) -> None:
        assert size_max > 0
        self._size_max = size_max
        self._messages: deque[Message] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._is_closed = False

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._messages)

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can be put."""
        return self._is_closed

    def put(self, message: Message) -> None:
        """Append a message; never waits.

        Raises:
            Unavailable: the mailbox is full or closed; the sender may try again later.
        """
        if self._is_closed:
            raise Unavailable("The server is putting this away just now; try again.")
        if len(self._messages) >= self._size_max:
            raise Unavailable("Too much is waiting here already; try again in a moment.")
        self._messages.append(message)
        self._wake_reader()

    async def get(self) -> Message:
        """Take the oldest message, waiting for one if need be.

        Raises:
            MailboxClosed: there is none and there will be none.
        """
        while not self._messages:
            if self._is_closed:
                raise MailboxClosed
            assert self._reader is None, "a mailbox has one reader"
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._messages.popleft()

    def drain(self) -> list[Message]:
        """Take all messages that wait now."""
        messages = list(self._messages)
        self._messages.clear()
        return messages

    def close(self) -> None:
        """Accept nothing more; what waits can still be read."""
        self._is_closed = True
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
