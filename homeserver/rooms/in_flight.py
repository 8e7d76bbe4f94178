"""What of one sending of another server is placed in its room, and not yet known to be in storage."""

import asyncio
from collections.abc import Iterable

__all__ = ["InFlight", "NotStoredError"]


class NotStoredError(Exception):
    """What an event was checked against did not get into storage."""


class InFlight:
    """Events on the way into storage. If one of them does not get there, nor do those after it.

    Attributes:
        commits: one for each.
        news: IDs of events that are to come with which nothing has to do that is stored or on the way.
    """

    def __init__(self, news: Iterable[str] = ()) -> None:
        self.commits: list[asyncio.Future[None]] = []
        self.news = set(news)

    async def land(self) -> None:
        """Wait until all are in storage.

        Raises:
            Unavailable: some could not be stored; the same may be tried again.
        """
        commits, self.commits = self.commits, []
        for outcome in await asyncio.gather(*map(asyncio.shield, commits), return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
