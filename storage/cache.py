"""A bounded map that forgets what was used longest ago."""

from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["LruCache"]

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LruCache(Generic[Key, Value]):
    """At most `entries_max` entries; the one used longest ago makes room for a new one.

    Args:
        entries_max: the bound.
    """

    __slots__ = ("_entries", "_entries_max")

    def __init__(self, entries_max: int) -> None:
        assert entries_max > 0
        self._entries_max = entries_max
        # A dict keeps the order of insertion: its first entry is the one used longest ago.
        self._entries: dict[Key, Value] = {}

    def __len__(self) -> int:
        """How many entries it holds."""
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        """Whether there is an entry; does not count as a use."""
        return key in self._entries

    def get(self, key: Key) -> Value | None:
        """Return the value, or None."""
        value = self._entries.pop(key, None)
        if value is not None:
            self._entries[key] = value
        return value

    def put(self, key: Key, value: Value) -> None:
        """Add or replace an entry."""
        assert value is not None, "None means: no entry"
        self._entries.pop(key, None)
        self._entries[key] = value
        if len(self._entries) > self._entries_max:
            del self._entries[next(iter(self._entries))]

    def forget(self, key: Key) -> None:
        """Remove an entry, if there is one."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Remove every entry."""
        self._entries.clear()
