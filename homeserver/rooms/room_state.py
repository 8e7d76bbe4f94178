"""The current state of a room, so far as somebody has looked at it: a room may have 100,000 members."""

from collections.abc import Collection, Iterable

from homeserver.core.auth.selection import StateKey
from homeserver.core.event.pdu import Event

__all__ = ["ENTRIES_MAX", "ESSENTIAL_KEYS", "NotLoadedError", "RoomState"]

ESSENTIAL_KEYS: tuple[StateKey, ...] = tuple(
    [
        (f"m.room.{name}", "")
        for name in (
            "create", "power_levels", "join_rules", "history_visibility", "server_acl", "tombstone",
            "canonical_alias", "encryption", "name", "topic", "avatar", "guest_access", "retention", "policy",
        )
    ]
)  # fmt: skip
"""What is always at hand."""

ENTRIES_MAX = 500
_ESSENTIAL = frozenset(ESSENTIAL_KEYS)

_Entry = tuple[Event | None, int]


class NotLoadedError(Exception):
    """Somebody looks at state that is not at hand.

    Attributes:
        keys: what is to be loaded.
    """

    def __init__(self, keys: Collection[StateKey]) -> None:
        super().__init__(keys)
        self.keys = keys


class RoomState:
    """State events by type and state key; knows what the room does not have, and what nobody has looked at.

    Args:
        is_whole: there is nothing that is not at hand, as in small rooms, and while one is being made.
    """

    __slots__ = ("_entries", "is_whole")

    def __init__(self, *, is_whole: bool = False) -> None:
        self._entries: dict[StateKey, _Entry] = {}
        self.is_whole = is_whole

    def get(self, key: StateKey) -> Event | None:
        """Return the event of a type and state key; None if the room has none.

        Raises:
            NotLoadedError: it is not at hand.
        """
        return self._entry(key)[0]

    def nid(self, key: StateKey) -> int:
        """Return the number of that event, which must be there."""
        return self._entries[key][1]

    def select(self, keys: Iterable[StateKey]) -> dict[StateKey, Event]:
        """Return those events of some types and state keys that the room has.

        Raises:
            NotLoadedError: some are not at hand.
        """
        found = {}
        missing = []
        for key in keys:
            try:
                event = self._entry(key)[0]
            except NotLoadedError:
                missing.append(key)
            else:
                if event is not None:
                    found[key] = event
        if missing:
            raise NotLoadedError(missing)
        return found

    def missing(self, keys: Iterable[StateKey]) -> list[StateKey]:
        """List those keys that are not at hand."""
        return [] if self.is_whole else [key for key in keys if key not in self._entries]

    def put(self, key: StateKey, event: Event | None, nid: int) -> None:
        """Let an event be the state, or nothing."""
        self._entries.pop(key, None)
        self._entries[key] = (event, nid)

    def learn(self, key: StateKey, event: Event | None, nid: int) -> None:
        """Take note of what storage has, unless the state has changed while it was read."""
        if key not in self._entries:
            self._entries[key] = (event, nid)

    def redact(self, redacted: Event) -> None:
        """Replace an event by its redacted copy, if it is at hand."""
        key = (redacted.type, redacted.state_key or "")
        entry = self._entries.get(key)
        there = None if entry is None else entry[0]
        if redacted.state_key is not None and there is not None and there.event_id == redacted.event_id:
            self._entries[key] = (redacted, self.nid(key))

    def trim(self) -> None:
        """Forget what was used longest ago, beyond the bound; only while storage has all of it."""
        excess = len(self._entries) - ENTRIES_MAX
        if excess > 0:
            if self.is_whole:
                self.is_whole = False
                for key in ESSENTIAL_KEYS:
                    self.learn(key, None, 0)  # what the room does not have stays at hand as well
            for key in [key for key in self._entries if key not in _ESSENTIAL][:excess]:
                del self._entries[key]

    def _entry(self, key: StateKey) -> _Entry:
        entry = self._entries.get(key)
        if entry is None:
            if self.is_whole:
                return None, 0
            raise NotLoadedError((key,))
        if len(self._entries) > ENTRIES_MAX // 2:  # the order matters only where something may have to go
            del self._entries[key]
            self._entries[key] = entry
        return entry
