"""From the bytes of a request to values: the query, and the body as the endpoint declared it."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote_plus

import msgspec
import orjson

from homeserver.core.canonical_json import parse_json
from homeserver.core.errors import BadJson, InvalidParam, NotJson

__all__ = ["decoded_body", "decoded_query", "decoded_server_body"]

SERVER_JSON_DEPTH_MAX = 230
"""Of what servers send: events may have 200 levels, and some more are around them."""

QUERY_PARAMETERS_MAX = 200
_HUGE_INTEGER = re.compile(rb"[0-9]{19}")
_LONG, _LONG_MAX = 32, 4_096
_LONG_TEXTS_MAX = 500

_CONTAINERS = frozenset((dict, list))
_NO_QUERY: Mapping[str, list[str]] = MappingProxyType({})

_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
"""One per body type that some endpoint declares, so their number is bounded."""


def decoded_query(text: str) -> Mapping[str, list[str]]:
    """The parameters of a query string (what follows the question mark).

    Raises:
        InvalidParam: it is no percent-encoded UTF-8, or holds too many parameters.
    """
    if not text:
        return _NO_QUERY
    parts = text.split("&")
    if len(parts) > QUERY_PARAMETERS_MAX:
        raise InvalidParam(f"The query must hold at most {QUERY_PARAMETERS_MAX} parameters.")
    # No parameter has a use for NUL, and PostgreSQL has no text with it.
    if "%00" in text or "\0" in text:
        raise InvalidParam("The query must not hold the character NUL.")
    query: dict[str, list[str]] = {}
    for part in parts:
        if part:
            name, _, value = part.partition("=")
            query.setdefault(_unquoted(name), []).append(_unquoted(value))
    return query


def _unquoted(text: str) -> str:
    """Undo percent-encoding. Long texts are filters, which a client sends with each of its syncs."""
    if "%" not in text and "+" not in text:
        return text
    return _unquote(text) if len(text) <= _LONG or len(text) > _LONG_MAX else _unquote_often(text)


def _unquote(text: str) -> str:
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise InvalidParam("The query must be percent-encoded UTF-8.") from None


_unquote_often = lru_cache(_LONG_TEXTS_MAX)(_unquote)


def decoded_body(kind: type[Any], body: bytes, depth_max: int) -> Any:
    """The JSON body as `kind`: dict, or a msgspec Struct type. An empty body counts as `{}`.

    Raises:
        BadJson: it is JSON, but not what is asked for, or nested too deeply.
        NotJson: it is no JSON in UTF-8.
    """
    if not body:
        body = b"{}"
    # Counting is far cheaper than walking, and few bodies hold so many brackets at all.
    value: Any = None
    if _has_more_brackets(body, depth_max):
        value = _loads(body)
        _check_depth(value, depth_max)
    if kind is dict:
        value = _loads(body) if value is None else value
        if not isinstance(value, dict):
            raise BadJson("The body must be a JSON object.")
        return value
    # msgspec does not look into fields that it skips.
    if not body.isascii():
        _check_utf8(body)
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise BadJson(f"The body is not as expected: {_sentence(str(error))}") from None
    except RecursionError:
        raise BadJson("The body is nested too deeply.") from None
    except msgspec.DecodeError:
        raise NotJson("The body must be JSON in UTF-8.") from None


def decoded_server_body(body: bytes) -> dict[str, Any]:
    """The JSON object that another server sends. An empty body counts as `{}`.

    Events of old room versions hold integers of any size, which their hashes cover: they keep their values.

    Raises:
        BadJson: it is JSON, but no object, or nested too deeply.
        NotJson: it is no JSON in UTF-8.
    """
    value: Any
    if _HUGE_INTEGER.search(body) is None:
        value = _loads(body or b"{}")
    else:
        try:
            value = parse_json(body.decode(), strict=False)
            if b"\\u" in body:
                json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is no text
        except (ValueError, RecursionError):
            raise NotJson("The body must be JSON in UTF-8.") from None
    if not isinstance(value, dict):
        raise BadJson("The body must be a JSON object.")
    if _has_more_brackets(body, SERVER_JSON_DEPTH_MAX):
        _check_depth(value, SERVER_JSON_DEPTH_MAX)
    return value


def _has_more_brackets(body: bytes, count: int) -> bool:
    objects = body.count(b"{")
    return objects > count or objects + body.count(b"[") > count


def _check_utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError:
        raise NotJson("The body must be JSON in UTF-8.") from None


def _loads(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # orjson refuses deep nesting by itself, long after every sensible limit.
        if "depth limit" in str(error):
            raise BadJson("The body is nested too deeply.") from None
        raise NotJson("The body must be JSON in UTF-8.") from None


def _check_depth(value: Any, depth_max: int) -> None:
    """Refuse a value with more than `depth_max` objects and arrays inside one another."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(depth_max):
        if not level:
            return
        level = [
            child
            for parent in level
            for child in (parent.values() if type(parent) is dict else parent)
            if type(child) in _CONTAINERS  # orjson makes no others, and this takes a third of the time
        ]
    if level:
        raise BadJson(f"The body is nested deeper than {depth_max} levels.")


def _sentence(message: str) -> str:
    """Make a sentence for people of what msgspec says, e.g. ``Expected `int`, got `str` - at `$.a` ``."""
    what, _, where = message.partition(" - at ")
    where = where.strip("`").removeprefix("$").removeprefix(".")
    what = what.replace("`", "").replace("Expected", "expected").replace("Object missing", "missing")
    return f"{what} at {where}." if where else f"{what}."
