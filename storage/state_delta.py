"""What one state of a room has that another has not: sorted, packed, and searched without being unpacked.

A key is an event type and a state key as one 64-bit integer, a value the number of the event; 0 says that the
state has nothing for the key.
"""

import sys
from array import array
from bisect import bisect_left
from collections.abc import Mapping

from homeserver.core.errors import Unavailable

__all__ = ["ABSENT", "StateDelta", "packed_key", "unpacked_key"]

ABSENT = 0
_STATE_KEY_BITS = 32
_STATE_KEY_NID_MAX = (1 << _STATE_KEY_BITS) - 1
_ENTRY_BYTES = 16
_OVERHEAD_BYTES = 200


def packed_key(type_nid: int, state_key_nid: int) -> int:
    """Put the numbers of an event type and a state key into one.

    Raises:
        Unavailable: more than four thousand million state keys have been numbered.
    """
    if state_key_nid > _STATE_KEY_NID_MAX:
        raise Unavailable("This server has no room for further state keys.")
    return type_nid << _STATE_KEY_BITS | state_key_nid


def unpacked_key(key: int) -> tuple[int, int]:
    """Take the numbers of an event type and a state key out of one."""
    return key >> _STATE_KEY_BITS, key & _STATE_KEY_NID_MAX


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
    def unpack(cls, keys: bytes, nids: bytes) -> "StateDelta":
        """Read one as it is stored."""
        return cls(_from_bytes(keys), _from_bytes(nids))

    def pack(self) -> tuple[bytes, bytes]:
        """Write keys and values as they are stored."""
        return _to_bytes(self.keys), _to_bytes(self.nids)

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


def _from_bytes(data: bytes) -> "array[int]":
    values = array("q")
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _to_bytes(values: "array[int]") -> bytes:
    if sys.byteorder == "big":
        values = array("q", values)
        values.byteswap()
    return values.tobytes()
