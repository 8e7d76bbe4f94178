"""Ways to ask servers that are to be left alone all the same."""

from federation.client.ports import Availability

__all__ = ["AlwaysAvailable", "AskedAnyway"]


class AlwaysAvailable:
    """Lets every server be asked at any time."""

    def check(self, destination: str) -> None:
        """Refuse nothing."""

    def succeeded(self, destination: str) -> None:
        """Forget it."""

    def failed(self, destination: str) -> None:
        """Forget it."""


class AskedAnyway:
    """Lets every server be asked at any time, and tells what became of it: for what a person waits for.

    Args:
        availability: which servers answer.
    """

    def __init__(self, availability: Availability) -> None:
        self._availability = availability

    def check(self, destination: str) -> None:
        """Refuse nothing: whoever wants to come into a room may know that its server is back."""

    def succeeded(self, destination: str) -> None:
        """Note that a server answered."""
        self._availability.succeeded(destination)

    def failed(self, destination: str) -> None:
        """Note that a server did not answer, or has trouble of its own."""
        self._availability.failed(destination)
