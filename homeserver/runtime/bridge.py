"""The one place where Twisted's Deferreds and asyncio's futures meet.

A coroutine that asyncio runs cannot await a Deferred, and Twisted knows nothing of coroutines that await
futures; everything that needs the other side goes through here.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    STDLibLogObserver,
    globalLogBeginner,
)

__all__ = ["deferred_of", "future_of", "route_twisted_log"]

Result = TypeVar("Result")


def future_of(deferred: "Deferred[Result]") -> "asyncio.Future[Result]":
    """Make something that asyncio can await of `deferred`; cancelling it cancels the Deferred."""
    future: asyncio.Future[Result] = deferred.asFuture(asyncio.get_running_loop())
    return future


def deferred_of(work: Coroutine[Any, Any, Result]) -> "Deferred[Result]":
    """Run `work` as an asyncio task and make a Deferred of its result; cancelling it cancels the task."""
    task = asyncio.get_running_loop().create_task(work)
    return Deferred.fromFuture(task)


def route_twisted_log() -> None:
    """Hand what Twisted logs, from warnings up, to the standard library's logging; to be called once."""
    # zope's interfaces are no types to mypy.
    to_standard_library: Any = STDLibLogObserver()
    only_warnings: Any = LogLevelFilterPredicate(LogLevel.warn)
    observer: Any = FilteringLogObserver(to_standard_library, [only_warnings])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
