"""From the bytes that another server answered to a value, or to the error that they mean."""

import re
from typing import Any

from federation.client.ports import Answer
from homeserver.core.canonical_json import parse_json
from homeserver.core.errors import RemoteRefused, Unavailable

__all__ = ["decoded"]

DEPTH_MAX = 230
"""Of nested objects and arrays: events may have 200, and some more are around them."""

ERROR_CHARACTERS_MAX = 500
_ERRCODE = re.compile(r"[A-Za-z0-9_.]{1,100}")
_HUGE_INTEGER = re.compile(rb"[0-9]{19}")
_CONTAINERS = frozenset((dict, list))


def decoded(destination: str, answer: Answer) -> Any:
    """The JSON of an answer.

    Raises:
        RemoteRefused: the answer is that of a server that says no.
        Unavailable: it is none that the specification knows; what the server says is not to be waited for.
    """
    if 200 <= answer.status < 300:
        return _parsed(destination, answer.body)
    if not 400 <= answer.status < 500 or answer.status == 429:
        raise Unavailable(f"{destination} answered with the status {answer.status}; try again later.")
    try:
        body = _parsed(destination, answer.body)
    except Unavailable:
        # What a proxy says has no errcode, but that a request is too long is so in any case.
        if answer.status != 413:
            raise
        body = {}
    body = body if isinstance(body, dict) else {}
    errcode, error = body.get("errcode"), body.get("error")
    if not isinstance(errcode, str) or not _ERRCODE.fullmatch(errcode):
        errcode = "M_UNKNOWN"
    if not isinstance(error, str):
        error = f"status {answer.status}"
    raise RemoteRefused(answer.status, errcode, error[:ERROR_CHARACTERS_MAX], body)


def _parsed(destination: str, body: bytes) -> Any:
    try:
        # Events of old room versions hold integers of any size, which their hashes cover.
        value = parse_json(body, strict=_HUGE_INTEGER.search(body) is None)
    except ValueError as error:
        raise Unavailable(f"{destination} answered with what is no JSON.") from error
    if body.count(b"{") + body.count(b"[") > DEPTH_MAX:
        _check_depth(destination, value)
    return value


def _check_depth(destination: str, value: Any) -> None:
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(DEPTH_MAX):
        if not level:
            return
        level = [
            child
            for parent in level
            for child in (parent.values() if type(parent) is dict else parent)
            if type(child) in _CONTAINERS
        ]
    if level:
        raise Unavailable(f"{destination} answered with JSON that is nested too deeply.")
