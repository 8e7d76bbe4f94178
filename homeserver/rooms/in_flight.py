"""What of one sending of another server is placed in its room, and not yet known to be in storage."""

import asyncio

from homeserver.core.event.pdu import Event
from homeserver.rooms.actor import Extremity, RoomActor

__all__ = ["InFlight", "NotStoredError", "ends_beside"]


class NotStoredError(Exception):
    """What an event was checked against did not get into storage."""


class InFlight:
    """Events on the way into storage. If one of them does not get there, nor do those after it.

    Attributes:
        commits: one for each.
        news: IDs of events that are to come with which nothing has to do that is stored or on the way.
        is_surprised: something came that may have to do with them, so that this is to be found out again.
    """

    def __init__(self) -> None:
        self.commits: list[asyncio.Future[None]] = []
        self.news: set[str] = set()
        self.is_surprised = False

    def be_surprised(self) -> None:
        """Take nothing for news any more."""
        self.news.clear()
        self.is_surprised = True

    async def land(self) -> None:
        """Wait until all are in storage.

        Raises:
            Unavailable: some could not be stored; the same may be tried again.
        """
        commits, self.commits = self.commits, []
        for outcome in await asyncio.gather(*map(asyncio.shield, commits), return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome


def ends_beside(room: RoomActor, message: Event, group: int) -> tuple[Extremity, ...] | None:
    """Tell which ends of the graph stay beside a message, if the state of the room stays as it is.

    It does if the states at the ends are the same ones as before, since they alone decide: where the message
    follows some ends and has the state of one of them.

    Args:
        room: in memory.
        message: an event that changes no state.
        group: the state before it, and so after it.

    Returns:
        The ends beside it; None if it is not so simple.
    """
    ends = room.extremities
    if not set(message.prev_events) <= {one.event.event_id for one in ends}:
        return None
    others = tuple([one for one in ends if one.event.event_id not in message.prev_events])
    is_alike = {one.group for one in ends} == {group, *[one.group for one in others]}
    return others if is_alike else None
