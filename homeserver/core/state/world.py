"""What state resolution knows of a room, and how it asks for more.

Events are numbered: the number of an event is greater than those of its auth events, as it is for whoever
stores an event after those that allow it. An algorithm that lacks something yields a `Need…`; its driver adds
what is asked for to the `World` and goes on. A test's driver has everything there from the beginning.
"""

from collections.abc import Collection, Generator, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from homeserver.core.auth.selection import StateKey
from homeserver.core.event.pdu import Event

__all__ = ["Asking", "Need", "NeedAuthEvents", "NeedEvents", "NeedState", "NeedUnconflicted", "World", "run"]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class NeedAuthEvents:
    """Add the auth events of these events to `World.auth_events`."""

    nids: Collection[int]


@dataclass(frozen=True, slots=True)
class NeedEvents:
    """Add these events, and the numbers of their auth events, to the `World`; and say which are rejected."""

    nids: Collection[int]


@dataclass(frozen=True, slots=True)
class NeedState:
    """Add what the unconflicted state has for these keys to `World.unconflicted`; None for nothing."""

    keys: Collection[StateKey]


@dataclass(frozen=True, slots=True)
class NeedUnconflicted:
    """Set `World.unconflicted_nids`."""


Need = NeedAuthEvents | NeedEvents | NeedState | NeedUnconflicted

Asking = Generator[Need, None, Result]
"""An algorithm that yields what it needs and returns a result."""


@dataclass(slots=True)
class World:
    """What is at hand.

    Attributes:
        create: the room's `m.room.create`.
        events: by number.
        auth_events: numbers of the auth events of events; for every one in `events`, and for others.
        rejected: numbers of rejected events, at least those in `events`.
        unconflicted: what is unconflicted, by type and state key; None where there is known to be nothing.
        unconflicted_nids: numbers of all unconflicted state events, in descending order.
    """

    create: Event
    events: dict[int, Event] = field(default_factory=dict)
    auth_events: dict[int, tuple[int, ...]] = field(default_factory=dict)
    rejected: set[int] = field(default_factory=set)
    unconflicted: dict[StateKey, int | None] = field(default_factory=dict)
    unconflicted_nids: list[int] | None = None

    def have_events(self, nids: Iterable[int]) -> Asking[None]:
        """See to it that events are at hand."""
        missing = {nid for nid in nids if nid not in self.events}
        if missing:
            yield NeedEvents(missing)

    def have_auth_events(self, nids: Iterable[int]) -> Asking[None]:
        """See to it that the auth events of events are at hand, by their numbers."""
        missing = {nid for nid in nids if nid not in self.auth_events}
        if missing:
            yield NeedAuthEvents(missing)

    def have_state(self, keys: Iterable[StateKey]) -> Asking[None]:
        """See to it that the unconflicted state of some keys is at hand, with its events."""
        wanted = set(keys)
        missing = wanted - self.unconflicted.keys()
        if missing:
            yield NeedState(missing)
        found = [self.unconflicted[key] for key in wanted]
        yield from self.have_events([nid for nid in found if nid is not None])


def run(asking: Asking[Result]) -> Result:
    """Run an algorithm on a world that has everything.

    Raises:
        LookupError: it has not.
    """
    try:
        need = next(asking)
    except StopIteration as done:
        result: Result = done.value
        return result
    raise LookupError(need)
