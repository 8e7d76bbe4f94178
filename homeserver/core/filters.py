"""Filters: which events a client wants to see, and how.

Spec: https://spec.matrix.org/v1.19/client-server-api/#filtering
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from homeserver.core.errors import BadJson, InvalidParam

__all__ = [
    "EventFilter", "Filter", "RoomEventFilter", "RoomFilter", "event_passes", "parse_filter",
    "parse_room_event_filter", "room_passes", "select_fields",
]  # fmt: skip

_ITEMS_MAX = 10_000
Names = Annotated[tuple[str, ...], msgspec.Meta(max_length=_ITEMS_MAX)]


class EventFilter(msgspec.Struct, frozen=True, dict=True):
    """Which events; what is None or absent does not limit.

    Attributes:
        limit: at most so many; None for the server's own choice.
        types: event types, `*` stands for any characters.
        not_types: the same, excluded even if in `types`.
        senders: user IDs.
        not_senders: user IDs, excluded even if in `senders`.
    """

    limit: int | None = None
    types: Names | None = None
    not_types: Names | None = None
    senders: Names | None = None
    not_senders: Names | None = None

    @cached_property
    def passes_all(self) -> bool:
        """Whether nothing is filtered out by type, sender or content."""
        return self.types is None and self.senders is None and not self.not_types and not self.not_senders

    @cached_property
    def type_patterns(self) -> "_Patterns | None":
        """The types let through."""
        return None if self.types is None else _Patterns(self.types)

    @cached_property
    def not_type_patterns(self) -> "_Patterns | None":
        """The types kept out."""
        return _Patterns(self.not_types) if self.not_types else None

    @cached_property
    def sender_set(self) -> frozenset[str] | None:
        """The senders let through."""
        return None if self.senders is None else frozenset(self.senders)

    @cached_property
    def not_sender_set(self) -> frozenset[str]:
        """The senders kept out."""
        return frozenset(self.not_senders or ())


class _RoomSets:
    __slots__ = ()

    rooms: tuple[str, ...] | None
    not_rooms: tuple[str, ...] | None

    @cached_property
    def room_set(self) -> frozenset[str] | None:
        """The rooms let through."""
        return None if self.rooms is None else frozenset(self.rooms)

    @cached_property
    def not_room_set(self) -> frozenset[str]:
        """The rooms kept out."""
        return frozenset(self.not_rooms or ())


class RoomEventFilter(_RoomSets, EventFilter, frozen=True, dict=True):
    """Which events of rooms.

    Attributes:
        rooms: room IDs.
        not_rooms: room IDs, excluded even if in `rooms`.
        lazy_load_members: only the members that sent the events shown.
        include_redundant_members: also those that the client knows already.
        unread_thread_notifications: count notifications by thread.
        contains_url: only events with, or only without, a `url` in their content.
        related_by_rel_types: only events that others point at in one of these ways.
        related_by_senders: only events that one of these users points at.
    """

    rooms: Names | None = None
    not_rooms: Names | None = None
    lazy_load_members: bool = False
    include_redundant_members: bool = False
    unread_thread_notifications: bool = False
    contains_url: bool | None = None
    # NOTSPEC: these two came with threads (MSC3440) and were left out of the specification; clients use them.
    related_by_rel_types: Names | None = None
    related_by_senders: Names | None = None

    @cached_property
    def passes_all(self) -> bool:
        """Whether nothing is filtered out by type, sender or content."""
        limits = (self.types, self.senders, self.contains_url)
        return limits == (None, None, None) and not self.not_types and not self.not_senders


class RoomFilter(_RoomSets, msgspec.Struct, frozen=True, dict=True):
    """What of rooms.

    Attributes:
        rooms: room IDs; applied before the filters below.
        not_rooms: room IDs, excluded even if in `rooms`.
        include_leave: rooms that were left, too.
        ephemeral: which typing notices and receipts.
        state: which state events.
        timeline: which events of the timeline.
        account_data: which account data of the rooms.
    """

    rooms: Names | None = None
    not_rooms: Names | None = None
    include_leave: bool = False
    ephemeral: RoomEventFilter = RoomEventFilter()
    state: RoomEventFilter = RoomEventFilter()
    timeline: RoomEventFilter = RoomEventFilter()
    account_data: RoomEventFilter = RoomEventFilter()


class Filter(msgspec.Struct, frozen=True):
    """What of a sync.

    Attributes:
        event_fields: dot-separated paths of what to show of an event; see `select_fields`.
        event_format: events as for clients or as signed.
        presence: which presence events.
        account_data: which global account data.
        room: what of rooms.
    """

    event_fields: Names | None = None
    event_format: Literal["client", "federation"] = "client"
    presence: EventFilter = EventFilter()
    account_data: EventFilter = EventFilter()
    room: RoomFilter = RoomFilter()


class _Patterns:
    """Event types, some with wildcards; a match takes linear time, whatever a client sends."""

    __slots__ = ("_exact", "_globs")

    def __init__(self, patterns: Sequence[str]) -> None:
        self._exact = frozenset(pattern for pattern in patterns if "*" not in pattern)
        self._globs = [pattern.split("*") for pattern in patterns if "*" in pattern]

    def match(self, text: str) -> bool:
        return text in self._exact or any(_glob_matches(parts, text) for parts in self._globs)


def _glob_matches(parts: list[str], text: str) -> bool:
    first, *middle, last = parts
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for part in middle:
        place = text.find(part, place, end)
        if place < 0:
            return False
        place += len(part)
    return True


def event_passes(event_filter: EventFilter, type: str, sender: str, content: Mapping[str, Any]) -> bool:  # noqa: A002 - the spec's word
    """Say whether a filter lets an event through; rooms are left to `room_passes`."""
    if event_filter.passes_all:
        return True
    if sender in event_filter.not_sender_set:
        return False
    if (senders := event_filter.sender_set) is not None and sender not in senders:
        return False
    if (kept_out := event_filter.not_type_patterns) is not None and kept_out.match(type):
        return False
    if (let_through := event_filter.type_patterns) is not None and not let_through.match(type):
        return False
    contains_url = event_filter.contains_url if isinstance(event_filter, RoomEventFilter) else None
    return contains_url is None or contains_url == ("url" in content)


def room_passes(room_filter: RoomFilter | RoomEventFilter, room_id: str) -> bool:
    """Say whether a filter lets a room through."""
    if room_id in room_filter.not_room_set:
        return False
    rooms = room_filter.room_set
    return rooms is None or room_id in rooms


_Parsed = TypeVar("_Parsed", Filter, RoomEventFilter)


def parse_filter(data: bytes | str | Mapping[str, Any]) -> Filter:
    """Read a filter, as JSON or parsed already.

    Raises:
        BadJson: not JSON, or a field of the wrong type.
        InvalidParam: a field with a value that it cannot have.
    """
    parsed = _parse(data, Filter)
    room = parsed.room
    for part in (parsed.presence, parsed.account_data, room.ephemeral, room.state, room.timeline):
        _check_values(part)
    _check_values(room.account_data)
    _check_sigils("!", room.rooms, room.not_rooms)
    return parsed


def parse_room_event_filter(data: bytes | str | Mapping[str, Any]) -> RoomEventFilter:
    """Read the filter of `/messages` and `/context`.

    Raises:
        BadJson: not JSON, or a field of the wrong type.
        InvalidParam: a field with a value that it cannot have.
    """
    parsed = _parse(data, RoomEventFilter)
    _check_values(parsed)
    return parsed


def _parse(data: bytes | str | Mapping[str, Any], kind: type[_Parsed]) -> _Parsed:
    try:
        if isinstance(data, bytes | str):
            return msgspec.json.decode(data, type=kind)
        return msgspec.convert(data, kind)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise BadJson(f"The filter is not valid: {error}") from error
    except RecursionError as error:
        raise BadJson("The filter is nested too deeply.") from error


def _check_values(event_filter: EventFilter) -> None:
    # COMPAT: the spec wants a limit above 0, but clients send 0 for "no events".
    if event_filter.limit is not None and event_filter.limit < 0:
        raise InvalidParam("A filter's limit is not negative.")
    _check_sigils("@", event_filter.senders, event_filter.not_senders)
    if isinstance(event_filter, RoomEventFilter):
        _check_sigils("!", event_filter.rooms, event_filter.not_rooms)


def _check_sigils(sigil: str, *lists: Sequence[str] | None) -> None:
    for names in lists:
        for name in names or ():
            if not name.startswith(sigil):
                kind = "user" if sigil == "@" else "room"
                raise InvalidParam(f"A filter names {kind}s by IDs that begin with {sigil}")


_ESCAPED_OR_DOT = re.compile(r"\\([\\.])|(\.)")


def select_fields(event: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """Copy of an event only the fields at some dot-separated paths.

    Spec: https://spec.matrix.org/v1.19/appendices/#dot-separated-property-paths
    """
    selected: dict[str, Any] = {}
    # The shortest first: a field selected whole stays whole, and is the original, not a copy of ours.
    for *outer, last in sorted(map(_split_path, paths), key=len):
        source: Any = event
        for key in outer:
            source = source.get(key) if isinstance(source, Mapping) else None
        if not isinstance(source, Mapping) or last not in source:
            continue
        target = selected
        for key in outer:
            target = target.setdefault(key, {})
        target.setdefault(last, source[last])
    return selected


def _split_path(path: str) -> list[str]:
    keys, key, place = [], "", 0
    for match in _ESCAPED_OR_DOT.finditer(path):
        key += path[place : match.start()]
        if match[2]:
            keys.append(key)
            key = ""
        else:
            key += match[1]
        place = match.end()
    keys.append(key + path[place:])
    return keys
