"""Arrays in PostgreSQL's binary format, made of columns in one go.

psycopg dumps an array item by item in Python; a flush has thousands of items, so the common types are packed
here with one `struct` call or one join a column.
"""

from collections.abc import Callable, Sequence
from struct import Struct, pack
from typing import Any, cast

__all__ = ["ENCODERS", "ENCODERS_BY_OID", "Encoder"]

Encoder = Callable[[Sequence[Any]], bytes]

_HEADER = Struct(">iiiii")  # dimensions, has nulls, type of the items, length, lower bound
_LENGTH = Struct(">i")
_NULL = b"\xff\xff\xff\xff"

_BOOL_OID, _BYTEA_OID, _INT8_OID, _INT2_OID, _INT4_OID, _TEXT_OID = 16, 17, 20, 21, 23, 25


def _fixed(item_oid: int, letter: str, length_bytes: int) -> Encoder:
    pair = Struct(f">i{letter}")
    item_letters = f"i{letter}"

    def encode(values: Sequence[Any]) -> bytes:
        count = len(values)
        if None in values:
            items = [_NULL if value is None else pair.pack(length_bytes, value) for value in values]
            return _HEADER.pack(1, 1, item_oid, count, 1) + b"".join(items)
        interleaved = [length_bytes] * (2 * count)
        interleaved[1::2] = values
        return _HEADER.pack(1, 0, item_oid, count, 1) + pack(">" + item_letters * count, *interleaved)

    return encode


def _text(values: Sequence[str | None]) -> bytes:
    return _joined(_TEXT_OID, [None if value is None else value.encode() for value in values])


def _bytea(values: Sequence[bytes | None]) -> bytes:
    return _joined(_BYTEA_OID, values)


def _joined(item_oid: int, values: Sequence[bytes | None]) -> bytes:
    count = len(values)
    if None in values:
        parts = [_HEADER.pack(1, 1, item_oid, count, 1)]
        for value in values:
            parts += (_NULL,) if value is None else (_LENGTH.pack(len(value)), value)
        return b"".join(parts)
    interleaved: list[Any] = [b""] * (2 * count + 1)
    interleaved[0] = _HEADER.pack(1, 0, item_oid, count, 1)
    interleaved[1::2] = map(_LENGTH.pack, map(len, cast("Sequence[bytes]", values)))
    interleaved[2::2] = values
    return b"".join(interleaved)


ENCODERS: dict[str, Encoder] = {
    "bigint": _fixed(_INT8_OID, "q", 8),
    "boolean": _fixed(_BOOL_OID, "?", 1),
    "bytea": _bytea,
    "integer": _fixed(_INT4_OID, "i", 4),
    "smallint": _fixed(_INT2_OID, "h", 2),
    "text": _text,
}
"""By the SQL name of the items' type. No encoder takes an empty column: a flush has no empty statement."""

ENCODERS_BY_OID: dict[int, Encoder] = {
    _INT2_OID: ENCODERS["smallint"],
    _INT4_OID: ENCODERS["integer"],
    _INT8_OID: ENCODERS["bigint"],
    _TEXT_OID: ENCODERS["text"],
}
"""Those that lists in statements mostly need, by the number that PostgreSQL has for the items' type."""
