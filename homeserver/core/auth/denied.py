"""The verdict of event authorization on an event that it does not allow."""

from dataclasses import dataclass

__all__ = ["Denied"]


@dataclass(frozen=True, slots=True)
class Denied:
    """An event is not allowed.

    Attributes:
        reason: a sentence for the user whose event it is.
    """

    reason: str
