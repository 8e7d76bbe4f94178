"""The rules of thread subscriptions: what a user is to a thread, and what becomes of that.

Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/4306
"""

from dataclasses import dataclass, replace

from homeserver.core.errors import Conflict, InvalidParam

__all__ = [
    "ConflictingUnsubscription", "EventMark", "NotInThread", "ThreadSubscription", "subscribe", "unsubscribe",
]  # fmt: skip


class ConflictingUnsubscription(Conflict):
    """The user unsubscribed after the event for which a client would subscribe them."""

    errcode = "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION"


class NotInThread(InvalidParam):
    """The event for which a client would subscribe its user is not in the thread."""

    errcode = "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD"


@dataclass(frozen=True, slots=True)
class EventMark:
    """Where an event stands in its room.

    Attributes:
        position: in the order in which events came; negative for what was fetched later, from before.
        depth: in the graph of the room.
    """

    position: int
    depth: int

    def is_after(self, other: "EventMark") -> bool:
        """Whether this one came later. What was fetched later is placed by the graph."""
        if self.position < 0:
            return self.depth > other.depth
        return self.position > other.position


@dataclass(frozen=True, slots=True)
class ThreadSubscription:
    """What a user is to a thread.

    Attributes:
        is_subscribed: they follow it.
        is_automatic: a client decided that, since they took part; not they themselves.
        unsubscribed: where the room's timeline ended when they unsubscribed last; None: they never did.
    """

    is_subscribed: bool
    is_automatic: bool
    unsubscribed: EventMark | None = None


def subscribe(before: ThreadSubscription | None, cause: EventMark | None) -> ThreadSubscription:
    """Tell what a user is to a thread once subscribed; the same object if nothing changes.

    Args:
        before: what they were.
        cause: the event for which their client subscribes them; None: they do it themselves, and that wins.

    Raises:
        ConflictingUnsubscription: they unsubscribed after that event.
    """
    left = None if before is None else before.unsubscribed
    if before is not None and before.is_subscribed and (cause is not None or not before.is_automatic):
        return before
    if cause is not None and left is not None and not cause.is_after(left):
        raise ConflictingUnsubscription("You have unsubscribed from this thread after that event.")
    return ThreadSubscription(is_subscribed=True, is_automatic=cause is not None, unsubscribed=left)


def unsubscribe(before: ThreadSubscription | None, now: EventMark) -> ThreadSubscription | None:
    """Tell what a user is to a thread once they left it; the same object if nothing changes.

    Args:
        before: what they were.
        now: where the room's timeline ends.
    """
    if before is None or not before.is_subscribed:
        return before
    return replace(before, is_subscribed=False, is_automatic=False, unsubscribed=now)
