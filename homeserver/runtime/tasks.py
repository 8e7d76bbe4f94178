"""Supervised tasks: each has a name and an owner, failures are observed, none outlives the owner."""

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any, TypeVar

from homeserver.runtime.observation import Observer, TaskFailed, current_request_id

__all__ = ["Tasks", "end_if_cancelled"]

Result = TypeVar("Result")

_CANCEL_AGAIN_S = 1.0


def end_if_cancelled() -> None:
    """End the present task if it was cancelled and did not notice; for loops that would go on for ever.

    `asyncio.wait_for`, which the pool of connections uses, loses a cancellation that comes just when what it
    waits for is there (until Python 3.12).

    Raises:
        asyncio.CancelledError: it was.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class Tasks:
    """The background work of one owner.

    asyncio keeps only weak references to tasks and swallows their exceptions until they are collected; this
    keeps strong references and tells the observer at once.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._running: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    def __len__(self) -> int:
        """How many tasks run."""
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, Result], name: str) -> asyncio.Task[Result]:
        """Run `work` beside the caller.

        Args:
            work: a coroutine.
            name: shown where the task fails.

        Raises:
            RuntimeError: the owner is closed.
        """
        if self._is_closed:
            work.close()
            raise RuntimeError(f"{name} was started after its owner was closed")
        # What a request sets going outlives the request and should not be logged under its ID.
        context = copy_context()
        context.run(current_request_id.set, "")
        task = asyncio.get_running_loop().create_task(work, name=name, context=context)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._observer(TaskFailed(error=error, name=task.get_name()))

    async def close(self) -> None:
        """Cancel every task and wait until all have ended; nothing can be started afterwards."""
        self._is_closed = True
        while running := [task for task in self._running if task is not asyncio.current_task()]:
            for task in running:
                task.cancel()
            # Again for a task that has missed it; see `end_if_cancelled`.
            await asyncio.wait(running, timeout=_CANCEL_AGAIN_S)
            # asyncio calls done callbacks in the next step of the loop.
            self._running.difference_update([task for task in running if task.done()])
