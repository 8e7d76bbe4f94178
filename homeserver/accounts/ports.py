"""What accounts need of others: implemented above or beside, joined in `homeserver.app.build`."""

from collections.abc import Coroutine
from typing import Any, Protocol

__all__ = ["ProfilePropagation"]


class ProfilePropagation(Protocol):
    """Makes a changed profile known where it is shown."""

    def profile_changed(self, user_id: str) -> Coroutine[Any, Any, None]:
        """Bring the display name and avatar of the user's member events up to date in all joined rooms.

        The profile is committed already; rooms in which it cannot be done are left as they are.
        """
