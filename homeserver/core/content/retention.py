"""The content of `m.room.retention`, and which retention class a room gets by it.

The event is that of MSC1763: `max_lifetime` and `min_lifetime` in milliseconds, both optional. A retention
class is a lifetime that storage keeps apart, so that what is over it can be dropped at once. Class 0 keeps
for ever.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from homeserver.core.canonical_json import CANONICAL_INTEGER_MAX

__all__ = [
    "FOR_EVER", "LIFETIME_MS_MAX", "RETENTION", "Keeping", "RetentionPolicy", "keeping_of",
    "wanted_lifetime_ms",
]  # fmt: skip

RETENTION = "m.room.retention"
LIFETIME_MS_MAX = 1 << 40
"""About 34 years: so a lifetime, counted in positions, is itself less than any position can be."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """For how long the timeline of a room is kept.

    Attributes:
        retention_class: where storage puts its message events.
        lifetime_ms: for how long they are shown; None for ever. No longer than the class keeps them.
    """

    retention_class: int
    lifetime_ms: int | None


FOR_EVER = Keeping(0, None)


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """What the server says on lifetimes.

    Attributes:
        default_lifetime_ms: of rooms that say nothing; None for ever.
        lifetime_ms_min: no room's events live shorter.
        lifetime_ms_max: no room's events live longer; None for no bound.
        class_lifetimes_ms: class to lifetime; without class 0.
    """

    default_lifetime_ms: int | None
    lifetime_ms_min: int
    lifetime_ms_max: int | None
    class_lifetimes_ms: Mapping[int, int]


def wanted_lifetime_ms(content: Mapping[str, Any] | None, policy: RetentionPolicy) -> int | None:
    """Tell how long a room wants its events to live, within what the server allows; None for ever.

    A content without a proper `max_lifetime` leaves it to the server's default. Nothing is forgotten before
    its `min_lifetime`.

    Args:
        content: of the room's `m.room.retention`; None if it has none.
        policy: of the server.
    """
    wanted = _milliseconds(content, "max_lifetime")
    if wanted is None:
        wanted = policy.default_lifetime_ms
    if wanted is not None:
        at_least_ms = _milliseconds(content, "min_lifetime") or 0
        wanted = max(wanted, at_least_ms, policy.lifetime_ms_min)
    if policy.lifetime_ms_max is None:
        return wanted
    return policy.lifetime_ms_max if wanted is None else min(wanted, policy.lifetime_ms_max)


def keeping_of(content: Mapping[str, Any] | None, policy: RetentionPolicy) -> Keeping:
    """Choose the class with the smallest lifetime that is at least what the room wants.

    Args:
        content: of the room's `m.room.retention`; None if it has none.
        policy: of the server. Without classes everything is kept for ever.
    """
    wanted = wanted_lifetime_ms(content, policy)
    if wanted is None:
        return FOR_EVER
    found = _smallest(wanted, policy.class_lifetimes_ms.items())
    return FOR_EVER if found is None else Keeping(found, wanted)


def _smallest(lifetime_ms: int, classes: Iterable[tuple[int, int]]) -> int | None:
    fitting = [(has_ms, number) for number, has_ms in classes if has_ms >= lifetime_ms]
    return min(fitting)[1] if fitting else None


def _milliseconds(content: Mapping[str, Any] | None, name: str) -> int | None:
    value = None if content is None else content.get(name)
    return value if type(value) is int and 0 <= value <= CANONICAL_INTEGER_MAX else None
