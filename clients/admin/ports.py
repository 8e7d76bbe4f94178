"""What administrators are told of other servers, by whom speaks with them."""

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["DestinationReads", "DestinationView"]


@dataclass(frozen=True, slots=True)
class DestinationView:
    """How another server does.

    Attributes:
        destination: its name.
        retry_last_ms: when it was asked in vain last; 0: it answers.
        retry_interval_ms: for how long it is left alone from then on; 0: not at all.
        failure_ms: since when it does not answer; None: it does.
        sent_until: a number that grows, up to which it has all; None: nobody knows.
        events_queued: those that wait in memory.
        rooms_behind: in how many rooms it may lack events.
        messages_waiting: for devices of its users.
        users_changed: of whose devices it is still to be told.
    """

    destination: str
    retry_last_ms: int
    retry_interval_ms: int
    failure_ms: int | None
    sent_until: int | None
    events_queued: int
    rooms_behind: int
    messages_waiting: int
    users_changed: int


class DestinationReads(Protocol):
    """Knows other servers."""

    def all(self) -> Coroutine[Any, Any, list[DestinationView]]:
        """Every server with users in our rooms, and every one for which something waits."""

    def one(self, destination: str) -> Coroutine[Any, Any, DestinationView]:
        """One server.

        Raises:
            NotFound: nothing is known of it.
        """

    def rooms(self, destination: str) -> Coroutine[Any, Any, list[tuple[str, int]]]:
        """The rooms with users of a server, and a number of the last event in each."""

    def reset(self, destination: str) -> bool:
        """Let a server be asked at once; whether it was left alone."""
