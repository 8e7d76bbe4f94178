"""What requests to other servers need of others; and, between them, how a request and an answer look."""

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Answer", "Availability", "Exchanges", "OutgoingRequest"]


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """A request to another server, ready to be sent.

    Attributes:
        method: of HTTP, in upper case.
        target: path and query, percent-encoded.
        body: empty: there is none.
        authorization: the header's value; empty: there is none.
        timeout_ms: for all of it, finding the server and the whole of the answer too.
        body_bytes_max: longer answers are given up.
    """

    method: str
    target: str
    body: bytes = b""
    authorization: str = ""
    timeout_ms: int = 30_000
    body_bytes_max: int = 10_485_760


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered."""

    status: int
    body: bytes


class Exchanges(Protocol):
    """Carries requests to servers by name."""

    def exchange(self, destination: str, request: OutgoingRequest) -> Coroutine[Any, Any, Answer]:
        """Send a request and wait for the answer, whatever its status.

        Raises:
            Unavailable: there is no answer: not found, not reached, not in time, or too long.
        """


class Availability(Protocol):
    """Remembers which servers do not answer, so that nobody waits for them in vain."""

    def check(self, destination: str) -> None:
        """Refuse while a server is left alone.

        Raises:
            Unavailable: it failed lately; the error says so.
        """

    def succeeded(self, destination: str) -> None:
        """Note that a server answered."""

    def failed(self, destination: str) -> None:
        """Note that a server did not answer, or has trouble of its own."""
