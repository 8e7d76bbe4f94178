"""What sending needs of others."""

from collections.abc import Coroutine, Mapping
from typing import Any, Protocol

__all__ = ["DeviceListContents", "SendsTransactions"]


class SendsTransactions(Protocol):
    """Carries transactions."""

    def send(self, destination: str, transaction_id: str, body: bytes) -> Coroutine[Any, Any, dict[str, str]]:
        """Send a transaction; returns what the server says against events in it, by event ID.

        Raises:
            RemoteRefused: the server does not take it.
            Unavailable: the server does not answer.
        """


class DeviceListContents(Protocol):
    """Knows the devices and keys of our users."""

    def list_for_server(self, user_id: str) -> Coroutine[Any, Any, Mapping[str, Any]]:
        """The devices of a user as another server may see them: the body of `user/devices`.

        Raises:
            NotFound: there is no such user.
            Unavailable: it could not be read just now.
        """
