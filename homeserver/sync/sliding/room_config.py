"""What is wanted of one room: how much of its timeline, and which of its state."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from homeserver.sync.sliding.request import RoomBody

__all__ = ["LAZY", "MEMBER", "Required", "RoomConfig", "Tuples", "combined"]

ME = "$ME"
LAZY = "$LAZY"
ANY = "*"
MEMBER = "m.room.member"

Tuples = frozenset[tuple[str, str]]


@dataclass(slots=True)
class Required:
    """Required state taken apart, so that a piece of state is matched in one step.

    Attributes:
        types: all state of these types.
        keys: exactly these.
        state_keys: all state with these state keys.
        is_all: all state.
        is_lazy: members as the timeline needs them.
    """

    types: set[str] = field(default_factory=set)
    keys: set[tuple[str, str]] = field(default_factory=set)
    state_keys: set[str] = field(default_factory=set)
    is_all: bool = False
    is_lazy: bool = False

    @classmethod
    def of(cls, tuples: Collection[tuple[str, str]]) -> "Required":
        """Take required state apart."""
        self = cls()
        for type_, state_key in tuples:
            if type_ == ANY and state_key == ANY:
                self.is_all = True
            elif type_ == ANY:
                self.state_keys.add(state_key)
            elif state_key == ANY:
                self.types.add(type_)
            elif type_ == MEMBER and state_key == LAZY:
                self.is_lazy = True
            else:
                self.keys.add((type_, state_key))
        if self.is_all or MEMBER in self.types:
            self.is_lazy = False  # all of them are wanted
        return self

    def matches(self, type_: str, state_key: str) -> bool:
        """Whether this piece of state is wanted, whatever the timeline holds."""
        return (
            self.is_all
            or (type_, state_key) in self.keys
            or type_ in self.types
            or state_key in self.state_keys
        )


@dataclass(frozen=True, slots=True)
class RoomConfig:
    """What is wanted of a room, of all that name it together.

    Attributes:
        timeline_limit: events of the timeline.
        tuples: (type, state key) of state, either of which may be `*`; `$ME` has been filled in.
        required: the same, taken apart.
    """

    timeline_limit: int
    tuples: Tuples
    required: Required


def combined(bodies: Iterable[RoomBody], user_id: str) -> RoomConfig:
    """Put several wishes together: the longest timeline, and all of the state that any of them wants."""
    limit = 0
    tuples: set[tuple[str, str]] = set()
    for body in bodies:
        limit = max(limit, body.timeline_limit)
        for type_, state_key in body.required_state:
            # No event has NUL in these, and PostgreSQL has no text with it.
            if "\0" not in type_ and "\0" not in state_key:
                tuples.add((type_, user_id if state_key == ME else state_key))
    return RoomConfig(limit, frozenset(tuples), Required.of(tuples))
