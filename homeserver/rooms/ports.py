"""What rooms need of others: implemented beside, joined in `homeserver.app.build`."""

from collections.abc import Coroutine
from typing import Any, Protocol

__all__ = ["IgnoredUsersReader", "ProfileReader"]


class IgnoredUsersReader(Protocol):
    """Knows whom users do not want to hear: their message events are left out of what a user reads."""

    def ignored_by(self, user_id: str) -> Coroutine[Any, Any, frozenset[str]]:
        """The users whose message events this user is not shown; their state events are."""


class ProfileReader(Protocol):
    """Reads profiles, which member events show."""

    def profile_of(self, user_id: str) -> Coroutine[Any, Any, dict[str, Any]]:
        """Every field that is set; empty for users that are not ours or do not exist."""
