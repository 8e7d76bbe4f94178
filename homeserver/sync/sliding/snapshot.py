"""Snapshots: what a connection needs to go on after a restart, packed into bytes, and taken out again.

Names, tokens and what was told of rooms are written once each, however many rooms share them; most of it is
the same in both places of a connection.
"""

from collections.abc import Hashable, Mapping
from typing import Annotated, Generic, TypeVar

import msgspec

from homeserver.core.positions import SyncToken
from homeserver.sync.sliding.connections import Place, RoomSent, Until

__all__ = ["SNAPSHOT_BYTES_MAX", "Places", "pack", "unpack"]

SNAPSHOT_BYTES_MAX = 256 * 1024
ENTRIES_MAX = 20_000
"""In rooms and members, of both places: packing more would keep everybody waiting."""
_VERSION = 1

Places = tuple[Place, Place | None]
"""The newest place, and the one that was acknowledged last if that is another."""

_Item = TypeVar("_Item", bound=Hashable)
_Index = Annotated[int, msgspec.Meta(ge=0)]
_Untils = list[tuple[_Index, _Index | None]]


class _Sent(msgspec.Struct, array_like=True):
    until: _Index | None
    timeline_limit: _Index
    required: _Index
    lazy: list[_Index]


class _Place(msgspec.Struct, array_like=True):
    pos: str
    token: _Index
    rooms: list[tuple[_Index, _Index]]
    account_data: _Untils
    receipts: _Untils
    sticky: list[_Index] | None
    device_lists: _Index | None
    threads: _Index | None = None  # later than the others: older snapshots are without


class _Snapshot(msgspec.Struct, array_like=True):
    version: int
    names: list[str]
    tokens: list[str]
    required: list[list[tuple[str, str]]]
    sent: list[_Sent]
    places: Annotated[list[_Place], msgspec.Meta(min_length=1, max_length=2)]


def pack(places: Places) -> bytes | None:
    """Write the places of a connection; None if they are too large to be kept, or nothing was told yet."""
    newest, acknowledged = places
    wanted = [newest] if acknowledged is None or acknowledged is newest else [newest, acknowledged]
    if any(one.token is None for one in wanted) or sum([one.entries() for one in wanted]) > ENTRIES_MAX:
        return None
    packed = _Packer().pack(wanted)
    return packed if len(packed) <= SNAPSHOT_BYTES_MAX else None


def unpack(packed: bytes) -> Places | None:
    """Read the places of a connection; None if this version of the server cannot make them out."""
    try:
        snapshot = msgspec.msgpack.decode(packed, type=_Snapshot)
        if snapshot.version != _VERSION:
            return None
        return _unpacked(snapshot)
    except (IndexError, ValueError, msgspec.DecodeError):
        return None


class _Table(Generic[_Item]):
    """Gives every item a number, the same one the next time."""

    def __init__(self) -> None:
        self.items: dict[_Item, int] = {}

    def number(self, item: _Item) -> int:
        return self.items.setdefault(item, len(self.items))


class _Packer:
    """Packs the places of one connection."""

    def __init__(self) -> None:
        self._names: _Table[str] = _Table()
        self._tokens: _Table[str] = _Table()
        self._required: _Table[frozenset[tuple[str, str]]] = _Table()
        self._sent: _Table[tuple[int | None, int, int, tuple[str, ...]]] = _Table()

    def pack(self, places: list[Place]) -> bytes:
        packed = [self._place(place) for place in places]
        sent = [
            _Sent(until, limit, required, [self._names.number(user_id) for user_id in lazy])
            for until, limit, required, lazy in self._sent.items
        ]
        required = [sorted(tuples) for tuples in self._required.items]
        return msgspec.msgpack.encode(
            _Snapshot(_VERSION, list(self._names.items), list(self._tokens.items), required, sent, packed)
        )

    def _place(self, place: Place) -> _Place:
        assert place.token is not None, "a place that was told has a token"
        name = self._names.number
        rooms = [(name(room_id), self._of_room(sent)) for room_id, sent in place.rooms.items()]
        sticky = None if place.sticky is None else [name(room_id) for room_id in place.sticky]
        return _Place(
            place.pos, self._tokens.number(place.token.encode()), rooms, self._untils(place.account_data),
            self._untils(place.receipts), sticky, self._token(place.device_lists),
            self._token(place.threads),
        )  # fmt: skip

    def _of_room(self, sent: RoomSent) -> int:
        required = self._required.number(sent.required)
        return self._sent.number((self._token(sent.until), sent.timeline_limit, required, sent.lazy))

    def _untils(self, told: Until) -> _Untils:
        return [(self._names.number(room_id), self._token(until)) for room_id, until in told.items()]

    def _token(self, token: SyncToken | None) -> int | None:
        return None if token is None else self._tokens.number(token.encode())


def _unpacked(snapshot: _Snapshot) -> Places:
    names, tokens = snapshot.names, [SyncToken.parse(text) for text in snapshot.tokens]
    required = [frozenset(tuples) for tuples in snapshot.required]

    def token(number: int | None) -> SyncToken | None:
        return None if number is None else tokens[number]

    def untils(told: _Untils) -> Mapping[str, SyncToken | None]:
        return {names[name]: token(until) for name, until in told}

    sent = [
        RoomSent(
            token(one.until),
            one.timeline_limit,
            required[one.required],
            tuple([names[name] for name in one.lazy]),
        )
        for one in snapshot.sent
    ]
    places = [
        Place(
            pos=one.pos,
            token=tokens[one.token],
            rooms={names[name]: sent[number] for name, number in one.rooms},
            account_data=untils(one.account_data),
            receipts=untils(one.receipts),
            sticky=None if one.sticky is None else {names[name]: None for name in one.sticky},
            device_lists=token(one.device_lists),
            threads=token(one.threads),
        )
        for one in snapshot.places
    ]
    return places[0], places[1] if len(places) > 1 else None
