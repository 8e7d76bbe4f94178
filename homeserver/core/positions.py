"""Positions in the streams, and the tokens that clients keep of them.

A position is a 64-bit Snowflake: 41 bits of milliseconds since 2024-01-01, 10 bits of writer ID, 12 bits of
sequence. A writer's positions grow in commit order; those of different writers only compare in time, so a
reader's place is a vector of one position per writer.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from copy import copy
from types import MappingProxyType
from typing import Self

__all__ = [
    "EPHEMERAL_WRITER_OFFSET", "EPOCH_MS", "POSITION_MAX", "SEQUENCE_MAX", "WRITER_ID_MAX", "PartialToken",
    "SnowflakeClock",
    "SyncToken", "make", "ms_of", "pagination_token", "parse_pagination_token", "sequence_of",
    "writer_of",
]  # fmt: skip

EPOCH_MS = 1_704_067_200_000  # 2024-01-01T00:00:00Z
_MS_BITS, _WRITER_BITS, _SEQUENCE_BITS = 41, 10, 12
WRITER_ID_MAX = (1 << _WRITER_BITS) - 1
SEQUENCE_MAX = (1 << _SEQUENCE_BITS) - 1
POSITION_MAX = (1 << 63) - 1
_MS_SHIFT = _WRITER_BITS + _SEQUENCE_BITS
_MS_MAX = (1 << _MS_BITS) - 1
assert _MS_SHIFT + _MS_BITS == 63, "a position is a positive bigint"

EPHEMERAL_WRITER_OFFSET = 512
"""A process marks what it never stores by the writer ID that is so much above its own, so that a token tells
what of the two has been heard. Lower ones are leased."""

_WRITERS_PER_TOKEN_MAX = WRITER_ID_MAX + 1
_TOKEN_CHARACTERS_MAX = 16_384
_VERSION = "s1"
_PARTIAL = "~"
_STICKY = "."


def make(ms: int, writer_id: int, sequence: int) -> int:
    """Put a position together from milliseconds since 1970, writer and sequence number."""
    assert 0 <= writer_id <= WRITER_ID_MAX, writer_id
    assert 0 <= sequence <= SEQUENCE_MAX, sequence
    since_epoch = ms - EPOCH_MS
    assert 0 <= since_epoch <= _MS_MAX, ms
    return since_epoch << _MS_SHIFT | writer_id << _SEQUENCE_BITS | sequence


def writer_of(position: int) -> int:
    """Tell which writer assigned a position."""
    return position >> _SEQUENCE_BITS & WRITER_ID_MAX


def ms_of(position: int) -> int:
    """Tell the milliseconds since 1970 of a position."""
    return (position >> _MS_SHIFT) + EPOCH_MS


def sequence_of(position: int) -> int:
    """Tell the sequence number of a position."""
    return position & SEQUENCE_MAX


class SnowflakeClock:
    """Assigns the positions of one writer; each is above all before it, whatever the clock does.

    Attributes:
        writer_id: whose positions these are.
        last: the position assigned last, or the floor.
    """

    __slots__ = ("_ms", "_sequence", "last", "writer_id")

    def __init__(self, writer_id: int, floor: int = 0) -> None:
        assert 0 <= writer_id <= WRITER_ID_MAX, writer_id
        self.writer_id = writer_id
        self.last = 0
        self._ms = EPOCH_MS
        self._sequence = 0  # position 0 is nobody's
        self.raise_floor(floor)

    def next(self, now_ms: int) -> int:
        """Assign the next position. Time that went back or stood still is bridged by the sequence number."""
        if now_ms > self._ms:
            self._ms = now_ms
            self._sequence = 0
        elif self._sequence < SEQUENCE_MAX:
            self._sequence += 1
        else:  # 4,096 in one millisecond: borrow from the next one
            self._ms += 1
            self._sequence = 0
        position = make(self._ms, self.writer_id, self._sequence)
        assert position > self.last, "positions only grow"
        self.last = position
        return position

    def raise_floor(self, position: int) -> None:
        """See to it that every later position is above this one, which may be another writer's."""
        if position <= self.last:
            return
        # The rest of that millisecond is given up: within it another writer's ID decides the order.
        self._ms = ms_of(position)
        self._sequence = SEQUENCE_MAX
        self.last = position


class SyncToken:
    """A reader's place: the vector of the positions up to which it has heard each writer.

    Immutable and comparable. A writer that is not in it has been heard up to nothing.

    Attributes:
        sticky_after: the sticky events above this position are still to be told, since there were many; None:
            those that have been heard were told.
    """

    __slots__ = ("_positions", "_text", "sticky_after")

    def __init__(self, positions: Mapping[int, int] | None = None) -> None:
        self._positions: dict[int, int] = dict(positions) if positions else {}
        self._text: str | None = None
        self.sticky_after: int | None = None

    @property
    def positions(self) -> Mapping[int, int]:
        """Writer to position."""
        return MappingProxyType(self._positions)

    def covers(self, position: int) -> bool:
        """Whether what is at this position has been heard."""
        return self._positions.get(position >> _SEQUENCE_BITS & WRITER_ID_MAX, 0) >= position

    def advance(self, position: int) -> "SyncToken":
        """Return the place after hearing this position too; never back."""
        writer_id = position >> _SEQUENCE_BITS & WRITER_ID_MAX
        if self._positions.get(writer_id, 0) >= position:
            return self
        token = SyncToken.__new__(SyncToken)
        token._positions = {**self._positions, writer_id: position}  # noqa: SLF001 - another of our own
        token._text = None  # noqa: SLF001 - another of our own
        token.sticky_after = None
        return token

    def with_sticky_after(self, position: int) -> Self:
        """Return the same place, with sticky events told only up to a position."""
        token = copy(self)
        token._text = None  # noqa: SLF001 - another of our own
        token.sticky_after = position
        return token

    def merge(self, other: "SyncToken") -> "SyncToken":
        """Return the place of a reader that has heard all that either has."""
        token = self
        for position in other.positions.values():
            token = token.advance(position)
        return token

    def covers_all_of(self, other: "SyncToken") -> bool:
        """Whether whatever the other has heard has been heard."""
        if self is other:
            return True
        positions = self._positions
        for writer_id, position in other._positions.items():  # noqa: SLF001 - another of our own
            if positions.get(writer_id, 0) < position:
                return False
        return True

    @property
    def highest(self) -> int:
        """The highest position of any writer of what is stored; with one writer, the whole place."""
        return max(self._stored(), default=0)

    @property
    def lowest(self) -> int:
        """The lowest position of any writer of what is stored: whatever is above it may be new."""
        return min(self._stored(), default=0)

    def covers_message(self, position: int) -> bool:
        """Whether the message to the device at this position has been told."""
        return self.covers(position)

    @property
    def messages_after(self) -> int:
        """Whatever message to the device is above this may not have been told."""
        return self.lowest

    def messages_until(self) -> list[tuple[int, int]]:
        """Up to where each writer's messages to the device have been told: (writer, position)."""
        return [(writer_of(position), position) for position in self._stored()]

    def _stored(self) -> list[int]:
        positions = self._positions
        return [positions[writer_id] for writer_id in positions if writer_id < EPHEMERAL_WRITER_OFFSET]

    def encode(self) -> str:
        """Write the token, URL-safe. Writers are told by their positions, so only those are written."""
        text = self._text
        if text is None:
            packed = b"".join([position.to_bytes(8, "big") for position in sorted(self._positions.values())])
            text = _VERSION + urlsafe_b64encode(packed).decode("ascii").rstrip("=")
            if self.sticky_after is not None:
                text += f"{_STICKY}{self.sticky_after}"
            self._text = text
        return text

    @classmethod
    def parse(cls, text: str) -> "SyncToken":
        """Read a token.

        Raises:
            ValueError: not one that `encode` wrote.
        """
        whole, tilde, until = text.partition(_PARTIAL)
        if tilde:
            return PartialToken.of(cls.parse(whole), parse_pagination_token("p" + until))
        whole, dot, after = text.partition(_STICKY)
        if dot:
            token = cls.parse(whole).with_sticky_after(parse_pagination_token("p" + after))
            if token.encode() != text:
                raise ValueError("The token is not one that this server gave.")
            return token
        body = text.removeprefix(_VERSION)
        if len(body) == len(text) or len(text) > _TOKEN_CHARACTERS_MAX:
            raise ValueError("The token is not one that this server gave.")
        try:
            packed = urlsafe_b64decode(body + "=" * (-len(body) % 4))
        except ValueError as error:
            raise ValueError("The token is not one that this server gave.") from error
        positions = [int.from_bytes(packed[start : start + 8], "big") for start in range(0, len(packed), 8)]
        token = cls({writer_of(position): position for position in positions})
        in_range = all(0 < position <= POSITION_MAX for position in positions)
        if not in_range or token.encode() != text:  # one way to write it, so nothing odd is read
            raise ValueError("The token is not one that this server gave.")
        return token

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SyncToken):
            return False
        return self._positions == other._positions and self.sticky_after == other.sticky_after

    def __hash__(self) -> int:
        return hash(frozenset(self._positions.values()))

    def __repr__(self) -> str:
        return f"<SyncToken {self._positions}>"


class PartialToken(SyncToken):
    """The place of a reader who has not been told of all messages to the device yet, since there were many.

    Attributes:
        messages_told: those at or below this position have been told.
    """

    __slots__ = ("messages_told",)

    def __init__(self, positions: Mapping[int, int], messages_told: int) -> None:
        super().__init__(positions)
        self.messages_told = messages_told

    @classmethod
    def of(cls, token: SyncToken, messages_told: int) -> "PartialToken":
        """Return the same place, with messages told only up to a position."""
        partial = cls(token.positions, messages_told)
        partial.sticky_after = token.sticky_after
        return partial

    def covers_message(self, position: int) -> bool:
        """Whether the message to the device at this position has been told."""
        return position <= self.messages_told and self.covers(position)

    @property
    def messages_after(self) -> int:
        """Whatever message to the device is above this may not have been told."""
        return min(self.lowest, self.messages_told)

    def messages_until(self) -> list[tuple[int, int]]:
        """Up to where each writer's messages to the device have been told: (writer, position)."""
        return [(writer, min(position, self.messages_told)) for writer, position in super().messages_until()]

    def encode(self) -> str:
        """Write the token, URL-safe."""
        return f"{super().encode()}{_PARTIAL}{self.messages_told}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PartialToken):
            return False
        return self.messages_told == other.messages_told and super().__eq__(other)

    def __hash__(self) -> int:
        return hash((super().__hash__(), self.messages_told))


def pagination_token(position: int) -> str:
    """Write a place in one room's timeline; backfilled events have negative positions."""
    return f"p{position}"


def parse_pagination_token(text: str) -> int:
    """Read a place in one room's timeline.

    Raises:
        ValueError: not one that `pagination_token` wrote.
    """
    digits = text[1:]
    if text[:1] != "p" or len(digits) > 20 or not digits.removeprefix("-").isascii():
        raise ValueError("The token is not one that this server gave.")
    try:
        position = int(digits)
    except ValueError as error:
        raise ValueError("The token is not one that this server gave.") from error
    if abs(position) > POSITION_MAX or text != f"p{position}":
        raise ValueError("The token is not one that this server gave.")
    return position
