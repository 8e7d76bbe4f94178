"""With which servers this one speaks, as its operator says."""

from collections.abc import Collection

__all__ = ["ServerRules"]


class ServerRules:
    """Knows with whom to speak.

    Args:
        allowed: the only servers to speak with; none: all.
        denied: servers not to speak with, even if they are allowed.
    """

    def __init__(self, *, allowed: Collection[str] = (), denied: Collection[str] = ()) -> None:
        self._allowed = frozenset(allowed)
        self._denied = frozenset(denied)

    def allow(self, server_name: str) -> bool:
        """Whether to speak with a server."""
        return server_name not in self._denied and (not self._allowed or server_name in self._allowed)
