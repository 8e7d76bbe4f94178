"""What an endpoint answers with, whatever carries it: HTTP or a WebSocket frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

__all__ = ["Response", "json_list", "json_response"]


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


def json_list(before: bytes, items: Sequence[bytes], after: bytes) -> bytes:
    """Put encoded items, or commas between some, inside of something: one copy, as they may be 50 MB."""
    if not items:
        return before + after
    parts = list(items)
    parts[0] = before + parts[0]
    parts[-1] += after
    return b",".join(parts)


def json_response(value: Any, status: int = 200) -> Response:
    """Encode `value` as the JSON body of a response."""
    return Response(status, orjson.dumps(value))
