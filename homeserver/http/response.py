"""What an endpoint answers with, whatever carries it: HTTP or a WebSocket frame."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

__all__ = ["Response", "json_response"]


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response.

    Attributes:
        status: HTTP status code.
        body: encoded body.
        content_type: of the body.
        headers: further headers.
    """

    status: int = 200
    body: bytes = b"{}"
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_response(value: Any, status: int = 200) -> Response:
    """Encode `value` as the JSON body of a response."""
    return Response(status, orjson.dumps(value))
