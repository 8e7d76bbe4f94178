"""What a key of the configuration is: a dataclass field with its meaning, an example and a check."""

from collections.abc import Callable
from dataclasses import Field, dataclass, field
from typing import Any

__all__ = ["Check", "Key", "at_least", "between", "key", "key_of", "one_of", "section"]

Check = Callable[[Any], str | None]
"""Returns what was expected, if the value is not that; else None."""


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key beside its type and default."""

    meaning: str
    example: Any
    check: Check | None = None
    secret: bool = False


def key(
    default: Any, meaning: str, *, example: Any = None, check: Check | None = None, secret: bool = False
) -> Any:
    """Make a dataclass field for one key. The example is the default unless given."""
    shown = default if example is None else example
    return field(default=default, metadata={"key": Key(meaning, shown, check, secret)})


def section(kind: Callable[[], Any], meaning: str) -> Any:
    """Make a dataclass field for a section, all of whose keys have defaults."""
    return field(default_factory=kind, metadata={"key": Key(meaning, None)})


def key_of(one: "Field[Any]") -> Key:
    """What is known of the key behind a dataclass field."""
    found: Key = one.metadata["key"]
    return found


def at_least(smallest: int) -> Check:
    """An integer of at least `smallest`."""
    return lambda value: None if value >= smallest else f"an integer of at least {smallest}"


def between(smallest: float, greatest: float) -> Check:
    """A number from `smallest` to `greatest`."""
    return lambda value: None if smallest <= value <= greatest else f"a number from {smallest} to {greatest}"


def one_of(*words: str) -> Check:
    """One of some words."""
    return lambda value: None if value in words else "one of " + ", ".join(words)
