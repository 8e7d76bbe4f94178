"""Everything worth noticing, as values: code says *what* happened, the readers decide what it means.

An observation is a frozen dataclass with a level and its facts. Code that notices something calls the
observer it was given; `homeserver.runtime.logging` and `homeserver.runtime.metrics` are the two readers. A
package may declare observations of its own by subclassing `Observation`; both readers cope with classes that
they do not know.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

__all__ = [
    "CommitFailed", "Committed", "ConnectionRefused", "EventsForgotten", "EventsMoved", "Failure",
    "LeaseLost", "Level", "Observation", "Observer", "RateLimited", "RequestFailed", "RequestFinished",
    "RequestTimedOut", "ServerReady", "ServerStarting", "ServerStopped", "ServerStopping", "TaskFailed",
    "all_of", "current_request_id", "ignore_observations",
]  # fmt: skip

current_request_id: ContextVar[str] = ContextVar("current_request_id", default="")
"""The request on whose behalf the present task works; empty outside requests. Log lines carry it."""


class Level(Enum):
    """How much an operator should care."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Observation:
    """The root: something happened. The fields of a subclass are its facts.

    Attributes:
        level: how much an operator should care.
    """

    level: ClassVar[Level] = Level.INFO


Observer = Callable[[Observation], None]
"""Takes note of an observation; returns at once and never raises."""


def ignore_observations(observation: Observation) -> None:
    """Take no note: the observer for tests and tools that need none."""


def all_of(*observers: Observer) -> Observer:
    """Make one observer of several; each is told in turn."""

    def tell_all(observation: Observation) -> None:
        for observer in observers:
            observer(observation)

    return tell_all


@dataclass(frozen=True, slots=True)
class Failure(Observation):
    """Something raised that should not have; readers show the traceback.

    Attributes:
        error: what was raised.
    """

    level: ClassVar[Level] = Level.ERROR
    error: BaseException


@dataclass(frozen=True, slots=True)
class ServerStarting(Observation):
    """The server begins to start."""

    version: str
    server_name: str


@dataclass(frozen=True, slots=True)
class ServerReady(Observation):
    """Every listener accepts requests."""

    url: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class ServerStopping(Observation):
    """The server was asked to stop."""

    reason: str


@dataclass(frozen=True, slots=True)
class ServerStopped(Observation):
    """All work has ended and everything is closed."""

    duration_ms: int


@dataclass(frozen=True, slots=True)
class TaskFailed(Failure):
    """A supervised task ended with an exception.

    Attributes:
        name: the task's name.
    """

    name: str


@dataclass(frozen=True, slots=True)
class RequestFinished(Observation):
    """A request was answered.

    Attributes:
        method: HTTP method.
        endpoint: the endpoint's path with its `{names}`, or `unrecognized`: bounded, fit for a label.
        path: the path as asked, without the query (which may hold an access token).
        status: HTTP status.
        duration_ms: from routing to the encoded response.
        request_id: of the request.
        user_id: who asked, empty if nobody.
        client_address: from where.
        origin: the server that asked, empty if none did.
    """

    level: ClassVar[Level] = Level.DEBUG
    method: str
    endpoint: str
    path: str
    status: int
    duration_ms: float
    request_id: str
    user_id: str
    client_address: str
    origin: str = ""


@dataclass(frozen=True, slots=True)
class RequestFailed(Failure):
    """An endpoint raised what is no `MatrixError`; the client was told 500 and the request ID."""

    method: str
    path: str
    request_id: str


@dataclass(frozen=True, slots=True)
class RequestTimedOut(Observation):
    """A request was over its deadline; its work was cancelled and the client told 504."""

    level: ClassVar[Level] = Level.WARNING
    method: str
    path: str
    request_id: str
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class RateLimited(Observation):
    """A request was refused because its bucket was empty.

    Attributes:
        bucket: name of the rate limit class.
        key: the user or the address.
    """

    level: ClassVar[Level] = Level.DEBUG
    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class ConnectionRefused(Observation):
    """A connection sent what is no acceptable HTTP and was closed."""

    level: ClassVar[Level] = Level.DEBUG
    client_address: str
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Committed(Observation):
    """The journal committed one flush.

    Attributes:
        writes: how many writes it held.
        rows: how many rows they came to.
        duration_ms: from the first statement to the commit.
    """

    level: ClassVar[Level] = Level.DEBUG
    writes: int
    rows: int
    duration_ms: float


@dataclass(frozen=True, slots=True)
class CommitFailed(Failure):
    """The journal could not commit a flush.

    Attributes:
        writes: how many writes it held.
    """

    level: ClassVar[Level] = Level.WARNING
    writes: int


@dataclass(frozen=True, slots=True)
class LeaseLost(Observation):
    """This process no longer holds its writer lease and may not write."""

    level: ClassVar[Level] = Level.ERROR
    writer_id: int


@dataclass(frozen=True, slots=True)
class EventsForgotten(Observation):
    """Events over the lifetime of their retention class are gone.

    Attributes:
        retention_class: the class.
        events: how many.
    """

    retention_class: int
    events: int


@dataclass(frozen=True, slots=True)
class EventsMoved(Observation):
    """All events of a room are in the room's retention class.

    Attributes:
        room_id: the room.
        events: how many had to move since the room's keeping changed, or the server started.
        forgotten: how many of the others were over the new lifetime, and are gone.
    """

    room_id: str
    events: int
    forgotten: int
