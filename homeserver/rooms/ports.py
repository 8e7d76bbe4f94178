"""What rooms need of others: implemented beside, joined in `homeserver.app.build`."""

from collections.abc import Coroutine
from typing import Any, Protocol

__all__ = ["ProfileReader"]


class ProfileReader(Protocol):
    """Reads profiles, which member events show."""

    def profile_of(self, user_id: str) -> Coroutine[Any, Any, dict[str, Any]]:
        """Every field that is set; empty for users that are not ours or do not exist."""
