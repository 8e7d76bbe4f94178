"""What the keys of devices need of others: implemented above or beside, joined in `homeserver.app.build`."""

from collections.abc import Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, NoReturn, Protocol

from homeserver.core.errors import Unavailable

__all__ = ["DeviceListAudience", "NoRemoteKeys", "RemoteKeys"]


class DeviceListAudience(Protocol):
    """Knows who is to be told of whose devices."""

    def admitted(self, user_id: str) -> AbstractAsyncContextManager[object]:
        """Know the rooms of a user, whose devices changed, for as long as it takes to publish that."""


class RemoteKeys(Protocol):
    """Asks other servers for the keys of their users."""

    def query(
        self, server_name: str, device_keys: Mapping[str, list[str]]
    ) -> Coroutine[Any, Any, Mapping[str, Mapping[str, Any]]]:
        """Ask a server for its users' keys; cancelled when the client waits no longer.

        Args:
            server_name: whom to ask.
            device_keys: user ID to device IDs; none of them: all.

        Returns:
            `device_keys`, `master_keys` and `self_signing_keys`, by user ID.

        Raises:
            MatrixError: the server does not answer, or refuses.
        """

    def claim(
        self, server_name: str, one_time_keys: Mapping[str, Mapping[str, str]]
    ) -> Coroutine[Any, Any, Mapping[str, Mapping[str, Any]]]:
        """Ask a server for one-time keys of its users' devices; cancelled when the client waits no longer.

        Args:
            server_name: whom to ask.
            one_time_keys: user ID to device ID to algorithm.

        Returns:
            User ID to device ID to an object with the key by `algorithm:key ID`.

        Raises:
            MatrixError: the server does not answer, or refuses.
        """

    def devices(self, server_name: str, user_id: str) -> Coroutine[Any, Any, Mapping[str, Any]]:
        """Ask a server for all devices of one of its users.

        Args:
            server_name: whom to ask.
            user_id: of whom.

        Returns:
            `user_id`, `stream_id`, `devices`, and perhaps `master_key` and `self_signing_key`; unchecked.

        Raises:
            MatrixError: the server does not answer, or refuses.
        """


class NoRemoteKeys:
    """Reaches no other server."""

    async def query(self, server_name: str, device_keys: Mapping[str, list[str]]) -> NoReturn:
        """Refuse."""
        del device_keys
        raise Unavailable(f"This server cannot reach {server_name}.")

    async def claim(self, server_name: str, one_time_keys: Mapping[str, Mapping[str, str]]) -> NoReturn:
        """Refuse."""
        del one_time_keys
        raise Unavailable(f"This server cannot reach {server_name}.")

    async def devices(self, server_name: str, user_id: str) -> NoReturn:
        """Refuse."""
        del user_id
        raise Unavailable(f"This server cannot reach {server_name}.")
