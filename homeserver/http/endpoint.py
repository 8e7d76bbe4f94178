"""An endpoint is data: method, path, who may call it, how often, with what body, and what answers."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from homeserver.http.request import Request
from homeserver.http.response import Response

__all__ = ["TIMEOUT_MS", "Authentication", "Endpoint", "RateLimit", "Respond", "endpoint", "endpoints_of"]

TIMEOUT_MS = 60_000
"""What takes longer is waited for on purpose."""

Respond = Callable[[Request], Awaitable[Response]]
Method = TypeVar("Method", bound=Callable[..., Awaitable[Response]])


class Authentication(Enum):
    """Who may call an endpoint."""

    NONE = "none"
    OPTIONAL = "optional"
    USER = "user"
    ADMIN = "admin"
    SERVER = "server"


class RateLimit(Enum):
    """The bucket an endpoint draws from; each value is a key of the `rate_limits` section."""

    NONE = "none"
    READ = "read"
    MESSAGE = "message"
    JOIN = "join"
    INVITE = "invite"
    ROOM_CREATION = "room_creation"
    LOGIN = "login"
    REGISTRATION = "registration"
    PROFILE = "profile"
    REPORT = "report"
    TO_DEVICE = "to_device"
    FEDERATION = "federation"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method and path of an API.

    Attributes:
        method: upper-case HTTP method.
        path: with `{name}` for one percent-decoded segment each.
        respond: gets the request, decoded; returns the response or raises a `MatrixError`.
        body: None (a body is ignored), `dict` (any JSON object) or a msgspec Struct type (decoded, checked).
            An empty body counts as `{}`.
        body_raw: hand over the undecoded bytes instead.
        spec: link to the section of the specification, or to the page that describes it.
        timeout_ms_max: after this the work is cancelled and the client gets 504.
        body_bytes_max: larger bodies are refused; None: those over the limit of the configuration.
    """

    method: str
    path: str
    respond: Respond
    authentication: Authentication
    rate_limit: RateLimit
    body: type[Any] | None
    spec: str
    body_raw: bool = False
    timeout_ms_max: int = TIMEOUT_MS
    body_bytes_max: int | None = None


def endpoint(
    method: str,
    *paths: str,
    authentication: Authentication = Authentication.USER,
    rate_limit: RateLimit | None = None,
    body: type[Any] | None = None,
    spec: str,
    body_raw: bool = False,
    timeout_ms_max: int = TIMEOUT_MS,
    body_bytes_max: int | None = None,
) -> Callable[[Method], Method]:
    """Declare a method of a class as what answers `method` on each of `paths`.

    Without a rate limit of its own it draws from that of all reads, or of all requests of other servers.
    """
    if rate_limit is None:
        is_for_servers = authentication is Authentication.SERVER
        rate_limit = RateLimit.FEDERATION if is_for_servers else RateLimit.READ

    def declare(respond: Method) -> Method:
        declared = respond.__dict__.setdefault("endpoints", [])
        for path in paths:
            values = (authentication, rate_limit, body, spec, body_raw, timeout_ms_max, body_bytes_max)
            declared.append((method, path, values))
        return respond

    return declare


def endpoints_of(owner: object) -> Iterator[Endpoint]:
    """Every endpoint declared on `owner`'s class, bound to `owner`."""
    for name in dir(type(owner)):
        for method, path, values in getattr(getattr(type(owner), name), "endpoints", ()):
            yield Endpoint(method, path, getattr(owner, name), *values)
