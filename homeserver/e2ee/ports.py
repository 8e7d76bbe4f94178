"""What messages to devices need of others: implemented above or beside, joined in `homeserver.app.build`."""

from collections.abc import Collection, Coroutine, Mapping
from typing import Any, Protocol

from storage.write import Write

__all__ = ["Ignoring", "RemoteDevices"]


class Ignoring(Protocol):
    """Knows who does not want to hear whom."""

    def ignoring(self, user_id: str, among: Collection[str]) -> Coroutine[Any, Any, Collection[str]]:
        """Name those among some users who do not want to hear a user."""


class RemoteDevices(Protocol):
    """The way to devices of users of other servers."""

    def send(
        self, write: Write, sender: str, event_type: str, messages: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Add messages to a write, so that they are on their way once it is committed.

        Args:
            write: to add to.
            sender: who sends.
            event_type: of all messages.
            messages: user ID to device ID (or `*`) to content.
        """
