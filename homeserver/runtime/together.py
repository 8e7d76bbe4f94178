"""Reads of many things at once: what is asked for in the same turn of the event loop becomes one question.

Who asks needs not know of the others: a hundred rooms are looked at by a hundred tasks, each of which reads
as if it were alone, and the database is asked a few times.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

__all__ = ["ASKS_MAX", "AT_ONCE_MAX", "Together", "side_by_side"]

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")
Result = TypeVar("Result")

AT_ONCE_MAX = 20
"""Is done side by side, unless whoever asks says how much."""
ASKS_MAX = 100
"""In one question."""


async def side_by_side(
    work: Iterable[Coroutine[Any, Any, Result]], *, at_once_max: int = AT_ONCE_MAX
) -> list[Result]:
    """Do several things side by side, a bounded number at once; returns what they return, in their order.

    The first that fails ends them all, and what it raised is raised. None outlives this.
    """
    rest = iter(work)
    results: list[Result] = []
    while some := list(islice(rest, at_once_max)):
        if len(some) == 1:  # nothing to wait for beside it
            results.append(await some[0])
            continue
        tasks = [asyncio.ensure_future(each) for each in some]
        try:
            results += await asyncio.gather(*tasks)
        except BaseException:
            for each in rest:
                each.close()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise
    return results


class Together(Generic[Ask, Answer]):
    """Gathers questions of one kind and asks them together.

    Args:
        read: answers several questions, in their order.
        asks_max: at most so many at once.
    """

    def __init__(
        self, read: Callable[[Sequence[Ask]], Awaitable[Sequence[Answer]]], *, asks_max: int = ASKS_MAX
    ) -> None:
        self._read = read
        self._asks_max = asks_max
        self._waiting: list[tuple[Ask, asyncio.Future[Answer]]] = []
        self._running: set[asyncio.Task[None]] = set()  # holds them until they are done

    async def ask(self, ask: Ask) -> Answer:
        """Ask one question, together with those that others ask in this turn of the loop."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((ask, future))
        if len(self._waiting) == 1:
            loop.call_soon(self._start)
        elif len(self._waiting) >= self._asks_max:
            self._start()
        return await future

    def _start(self) -> None:
        waiting, self._waiting = self._waiting, []
        waiting = [(ask, future) for ask, future in waiting if not future.done()]
        if waiting:
            task = asyncio.ensure_future(self._answer(waiting))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _answer(self, waiting: list[tuple[Ask, "asyncio.Future[Answer]"]]) -> None:
        try:
            answers = await self._read([ask for ask, _ in waiting])
        except BaseException as error:  # whoever waits is told, cancellation included
            for _, future in waiting:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for (_, future), answer in zip(waiting, answers, strict=True):
            if not future.done():
                future.set_result(answer)
