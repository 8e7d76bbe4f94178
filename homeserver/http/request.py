"""A request as endpoints see it, whatever carried it: HTTP or a WebSocket frame."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from homeserver.core.errors import InvalidParam, MissingParam, MissingToken
from homeserver.core.requester import Requester

__all__ = ["Request"]


@dataclass(slots=True)
class Request:
    """One decoded request.

    Attributes:
        method: upper-case HTTP method.
        path: percent-encoded, without the query.
        parameters: the `{name}` segments of the endpoint's path, decoded.
        query: each query parameter's values, in order.
        headers: lower-case names.
        body: None, a dict, a msgspec Struct or bytes: what the endpoint declared.
        client_address: IP address of the client, after `X-Forwarded-For` where a listener trusts it.
        request_id: for logs; unique in this process.
        maybe_requester: who asks, where the endpoint authenticates.
        origin: the server that asks, where the endpoint is for other servers; its signature was verified.
    """

    method: str
    path: str
    parameters: Mapping[str, str]
    query: Mapping[str, list[str]]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    client_address: str = ""
    request_id: str = ""
    maybe_requester: Requester | None = None
    origin: str = ""

    @property
    def requester(self) -> Requester:
        """Who asks.

        Raises:
            MissingToken: nobody said; only where authentication is optional.
        """
        if self.maybe_requester is None:
            raise MissingToken("Give an access token in the Authorization header.")
        return self.maybe_requester

    def query_text(self, name: str, default: str | None = None) -> str:
        """The first value of a query parameter, or the default.

        Raises:
            MissingParam: it is absent and there is no default.
        """
        values = self.query.get(name)
        if values:
            return values[0]
        if default is None:
            raise MissingParam(f"Give the query parameter {name}.")
        return default

    def query_maybe(self, name: str) -> str | None:
        """The first value of a query parameter, if there."""
        values = self.query.get(name)
        return values[0] if values else None

    def query_integer(self, name: str, default: int, *, at_least: int = 0, at_most: int | None = None) -> int:
        """A query parameter as an integer, cut down to `at_most`.

        Raises:
            InvalidParam: it is no integer, or below `at_least`.
        """
        values = self.query.get(name)
        if not values:
            return default
        text = values[0]
        digits = text.removeprefix("-")
        if not digits.isascii() or not digits.isdigit() or len(text) > 18:
            raise InvalidParam(f"The query parameter {name} must be an integer.")
        number = int(text)
        if number < at_least:
            raise InvalidParam(f"The query parameter {name} must be at least {at_least}.")
        return number if at_most is None else min(number, at_most)

    def query_boolean(self, name: str, *, default: bool) -> bool:
        """A query parameter as `true` or `false`.

        Raises:
            InvalidParam: it is neither.
        """
        values = self.query.get(name)
        if not values:
            return default
        if values[0] not in {"true", "false"}:
            raise InvalidParam(f"The query parameter {name} must be true or false.")
        return values[0] == "true"
