"""What one state of a room has that another has not: sorted, and searched without being unpacked.

A key is an event type and a state key as one 64-bit integer, a value the number of the event; 0 says that
the state has nothing for the key. A room of 100,000 members has a million of these pairs in its groups, so
they are stored in 4 to 9 bytes each instead of 16: as differences, of which only those bytes are kept that
differ from 0 anywhere; large ones are compressed as well.
"""

import sys
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate
from operator import sub

from homeserver.core.errors import Unavailable

__all__ = ["ABSENT", "STATE_KEY_NID_MAX", "StateDelta", "packed_key", "unpacked_key"]

ABSENT = 0
STATE_KEY_NID_MAX = (1 << 31) - 1
"""What a column of type integer takes."""

_STATE_KEY_BITS = 32
_STATE_KEY_MASK = (1 << _STATE_KEY_BITS) - 1
_ENTRY_BYTES = 16
_OVERHEAD_BYTES = 200
_NUMBER_BYTES = 8
_HEAD_BYTES = 11  # the form; which bytes of keys and of values are kept, a bit each; the first key
_PLAIN, _COMPRESSED = b"\x00", b"\x01"
_COMPRESSED_BYTES_MIN = 256
_COMPRESSION_LEVEL = 1


def packed_key(type_nid: int, state_key_nid: int) -> int:
    """Put the numbers of an event type and a state key into one.

    Raises:
        Unavailable: more than two thousand million state keys have been numbered.
    """
    if state_key_nid > STATE_KEY_NID_MAX:
        raise Unavailable("This server has no room for further state keys.")
    return type_nid << _STATE_KEY_BITS | state_key_nid


def unpacked_key(key: int) -> tuple[int, int]:
    """Take the numbers of an event type and a state key out of one."""
    return key >> _STATE_KEY_BITS, key & _STATE_KEY_MASK


class StateDelta:
    """Values by key. Nobody may alter one."""

    __slots__ = ("keys", "nids")

    def __init__(self, keys: "array[int]", nids: "array[int]") -> None:
        """Take keys in ascending order, and the value of each."""
        self.keys = keys
        self.nids = nids

    @classmethod
    def of(cls, values: Mapping[int, int]) -> "StateDelta":
        """Make one of a mapping."""
        keys = array("q", sorted(values))
        return cls(keys, array("q", [values[key] for key in keys]))

    @classmethod
    def unpack(cls, data: bytes, near: int) -> "StateDelta":
        """Read one as it is stored, near the same number."""
        if not data:
            return cls(array("q"), array("q"))
        if data[:1] == _COMPRESSED:
            data = _PLAIN + zlib.decompress(data[1:])
        key_bytes, nid_bytes = data[1], data[2]
        first = int.from_bytes(data[3:_HEAD_BYTES], "little")
        width = key_bytes.bit_count() + nid_bytes.bit_count()
        # There is a key more than there are differences between them.
        count = (len(data) - _HEAD_BYTES + key_bytes.bit_count()) // width if width else 1
        gaps, end = _from_planes(data, _HEAD_BYTES, count - 1, key_bytes)
        distances, _ = _from_planes(data, end, count, nid_bytes)
        return cls(
            array("q", accumulate(gaps, initial=first)), array("q", [near - one for one in distances])
        )

    def pack(self, near: int) -> bytes:
        """Write it as it is stored.

        Args:
            near: a number that most values are not far from: the closer, the fewer bytes it takes.
        """
        keys = self.keys
        if not keys:
            return b""
        key_bytes, key_planes = _to_planes(array("q", map(sub, keys[1:], keys)))
        nid_bytes, nid_planes = _to_planes(array("q", [near - nid for nid in self.nids]))
        head = bytes((key_bytes, nid_bytes)) + keys[0].to_bytes(_NUMBER_BYTES, "little")
        body = b"".join((head, *key_planes, *nid_planes))
        if len(body) >= _COMPRESSED_BYTES_MIN:
            compressed = zlib.compress(body, _COMPRESSION_LEVEL)
            if len(compressed) < len(body):
                return _COMPRESSED + compressed
        return _PLAIN + body

    def __len__(self) -> int:
        """How many keys it has."""
        return len(self.keys)

    @property
    def bytes_held(self) -> int:
        """How much memory it takes, roughly."""
        return _OVERHEAD_BYTES + _ENTRY_BYTES * len(self.keys)

    def get(self, key: int) -> int | None:
        """Return the value of a key; None if this delta says nothing of it."""
        index = bisect_left(self.keys, key)
        if index < len(self.keys) and self.keys[index] == key:
            return self.nids[index]
        return None

    def items(self) -> dict[int, int]:
        """All of it as a mapping."""
        return dict(zip(self.keys, self.nids, strict=True))


def _to_planes(numbers: "array[int]") -> tuple[int, list[bytes]]:
    """Take numbers apart: the lowest bytes of all, the next ones, …; only those that are not 0 everywhere."""
    if sys.byteorder == "big":
        numbers.byteswap()
    data = numbers.tobytes()
    kept, planes = 0, []
    for place in range(_NUMBER_BYTES):
        plane = data[place::_NUMBER_BYTES]
        if plane.count(0) != len(plane):
            kept |= 1 << place
            planes.append(plane)
    return kept, planes


def _from_planes(data: bytes, start: int, count: int, kept: int) -> tuple["array[int]", int]:
    """Put numbers together again; returns where their bytes end as well."""
    spread = bytearray(_NUMBER_BYTES * count)
    for place in range(_NUMBER_BYTES):
        if kept >> place & 1:
            spread[place::_NUMBER_BYTES] = data[start : start + count]
            start += count
    numbers = array("q")
    numbers.frombytes(spread)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers, start
