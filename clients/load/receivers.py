"""Receivers: clients that wait for messages, and the ledger that finds the lost and the doubled."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from clients.load.api import MatrixApi
from clients.load.measure import Latencies

__all__ = ["Ledger", "LongPollReceiver", "Receiver", "begin_all", "following", "mark", "receiving"]

_MARK = "load:"
_BEGINNING_MAX = 20


def mark(number: int) -> str:
    """The beginning of a message's body by which the ledger knows it."""
    return f"{_MARK}{number}:"


def _number_of(event: dict[str, Any]) -> int | None:
    body = event.get("content", {}).get("body", "")
    if event.get("type") != "m.room.message" or not isinstance(body, str) or not body.startswith(_MARK):
        return None
    return int(body.split(":", 2)[1])


class Ledger:
    """What was sent, to how many receivers, and what each of them got."""

    def __init__(self) -> None:
        self.latencies = Latencies()
        self.duplicates = 0
        self._started_s: dict[int, float] = {}
        self._owed: dict[int, int] = {}
        self._seen: set[tuple[str, int]] = set()
        self._news = asyncio.Event()

    def started(self, number: int, at_s: float) -> None:
        """A send begins; its deliveries are timed from here."""
        self._started_s[number] = at_s

    def acknowledged(self, number: int, receivers: int) -> None:
        """The server answered 200: now each receiver must get it."""
        self._owed[number] = self._owed.get(number, 0) + receivers

    def delivered(self, receiver: str, event: dict[str, Any]) -> None:
        """A receiver saw an event."""
        number = _number_of(event)
        if number is None or number not in self._started_s:
            return
        if (receiver, number) in self._seen:
            self.duplicates += 1
            return
        self._seen.add((receiver, number))
        self._owed[number] = self._owed.get(number, 0) - 1
        self.latencies.add(time.perf_counter() - self._started_s[number])
        self._news.set()

    async def settle(self, timeout_s: float) -> None:
        """Wait until nothing is outstanding, for at most `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.outstanding:
                    self._news.clear()
                    await self._news.wait()

    @property
    def outstanding(self) -> int:
        """Deliveries of acknowledged messages that no receiver has seen yet."""
        return sum(owed for owed in self._owed.values() if owed > 0)

    @property
    def deliveries(self) -> int:
        """Deliveries seen, doubles not counted."""
        return len(self._seen)


class Receiver(Protocol):
    """A client that reports every event of every joined room to the ledger."""

    async def begin(self) -> None:
        """Catch up, so that only new events come from here on."""

    async def follow(self) -> None:
        """Receive until cancelled."""


class LongPollReceiver:
    """Receives over /sync, as any client does."""

    def __init__(self, api: MatrixApi, ledger: Ledger) -> None:
        self._api = api
        self._ledger = ledger
        self._since: str | None = None

    async def begin(self) -> None:
        """Do the initial sync."""
        self._since = (await self._api.sync(None, 0))["next_batch"]

    async def follow(self) -> None:
        """Long-poll until cancelled."""
        while True:
            answer = await self._api.sync(self._since, 30_000)
            self._since = answer["next_batch"]
            for room in answer.get("rooms", {}).get("join", {}).values():
                for event in room.get("timeline", {}).get("events", ()):
                    self._ledger.delivered(self._api.user_id, event)


@contextlib.asynccontextmanager
async def receiving(receivers: list[Receiver]) -> AsyncIterator[None]:
    """Let `receivers` begin, and follow while the block runs."""
    await begin_all(receivers)
    async with following(receivers):
        yield


async def begin_all(receivers: list[Receiver], begun: Callable[[], None] = lambda: None) -> None:
    """Let `receivers` begin, a few at once; tells each that has `begun`."""
    waiting = iter(receivers)

    async def begin() -> None:
        for receiver in waiting:
            await receiver.begin()
            begun()

    await asyncio.gather(*(begin() for _ in range(_BEGINNING_MAX)))


@contextlib.asynccontextmanager
async def following(receivers: list[Receiver]) -> AsyncIterator[None]:
    """Let `receivers` that have begun follow while the block runs."""
    tasks = [asyncio.create_task(receiver.follow()) for receiver in receivers]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()  # a receiver that failed fails the run
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
