"""Canonical JSON: the one way to write a JSON value, so that its hash and signature are the same everywhere.

Spec: https://spec.matrix.org/v1.19/appendices/#canonical-json
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Never

import canonicaljson
import orjson

__all__ = [
    "CANONICAL_DEPTH_MAX", "CANONICAL_INTEGER_MAX", "check_canonical", "encode_canonical", "encode_lenient",
    "encode_plain", "parse_json",
]  # fmt: skip

CANONICAL_INTEGER_MAX = 2**53 - 1
CANONICAL_DEPTH_MAX = 200  # orjson writes at most 254 levels; events add a few above their content

_SURROGATE = re.compile("[\ud800-\udfff]")


def encode_canonical(value: Mapping[str, Any]) -> bytes:
    """Encode a value that keeps the rules of `check_canonical`.

    Raises:
        ValueError: what cannot be written at all (lone surrogates, integers over 64 bits, too deep).
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:  # orjson's own error is a TypeError
        raise ValueError(str(error)) from error


def encode_lenient(value: Mapping[str, Any]) -> bytes:
    """Encode the way room versions 1 to 5 do: floats and large integers are written as Python does.

    Raises:
        ValueError: what cannot be written at all.
    """
    try:
        check_canonical(value)
    except ValueError:
        return _encode_odd(value)
    return encode_canonical(value)


def encode_plain(value: Any) -> bytes:
    """Encode for clients: no order of keys, integers of any size."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return _encode_odd(value)


def _encode_odd(value: Any) -> bytes:
    try:
        return canonicaljson.encode_canonical_json(value)
    except RecursionError as error:
        raise ValueError("The JSON is nested too deeply.") from error
    except UnicodeEncodeError as error:
        raise ValueError("A string holds half of a surrogate pair.") from error


def check_canonical(value: Any) -> None:
    """Check that a value may be in an event of a room version with strict canonical JSON.

    Raises:
        ValueError: a float, an integer beyond ±(2^53 - 1), half of a surrogate pair, a key that is no string,
            something that JSON does not have, or nesting deeper than `CANONICAL_DEPTH_MAX`.
    """
    _check(value, CANONICAL_DEPTH_MAX)


def _check(value: Any, depth_left: int) -> None:
    # Exact types and the commonest first: this runs for every event that is sent.
    kind = type(value)
    if kind is str:
        _check_text(value)
    elif kind is int:
        if not -CANONICAL_INTEGER_MAX <= value <= CANONICAL_INTEGER_MAX:
            raise ValueError("An integer is beyond ±(2^53 - 1).")
    elif kind is dict:
        _check_object(value, depth_left)
    elif kind is list or kind is tuple:
        _check_array(value, depth_left)
    elif kind is float:
        raise ValueError(f"The number {value} is a float; events hold only integers.")
    elif kind is not bool and value is not None:
        raise ValueError(f"JSON has no {kind.__name__}.")


def _check_text(value: str) -> None:
    if not value.isascii() and _SURROGATE.search(value):
        raise ValueError("A string holds half of a surrogate pair.")


def _check_array(value: list[Any] | tuple[Any, ...], depth_left: int) -> None:
    if not depth_left:
        raise ValueError(f"The JSON is nested deeper than {CANONICAL_DEPTH_MAX} levels.")
    for item in value:
        _check(item, depth_left - 1)


def _check_object(value: dict[Any, Any], depth_left: int) -> None:
    if not depth_left:
        raise ValueError(f"The JSON is nested deeper than {CANONICAL_DEPTH_MAX} levels.")
    for key, item in value.items():
        if type(key) is not str:
            raise ValueError("A key is not a string.")
        _check_text(key)
        if type(item) is not str or not item.isascii():
            _check(item, depth_left - 1)


def parse_json(data: bytes | str, *, strict: bool = True) -> Any:
    """Parse JSON.

    Args:
        data: JSON in UTF-8.
        strict: False for room versions 1 to 5, where integers of any size keep their value.

    Raises:
        ValueError: not JSON, or nested too deeply to read.
    """
    if strict:
        return orjson.loads(data)  # its JSONDecodeError is a ValueError
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("The JSON is nested too deeply.") from error


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"JSON has no {name}.")
