"""Which client each device of a user was signed in by.

Spec: https://spec.matrix.org/v1.19/client-server-api/#oauth-20-account-management
"""

from homeserver.accounts.oauth.clients import client_metadata_from
from homeserver.core.oauth.client_metadata import ClientMetadata
from storage.pool import Database
from storage.tables import oauth_sessions

__all__ = ["ConnectedClients"]


class ConnectedClients:
    """Reads what the clients of a user's devices said of themselves."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def of_user(self, user_id: str) -> dict[str, ClientMetadata]:
        """The client of each device, by device ID; without those that were signed in with a password."""
        stored = await oauth_sessions.clients_of_user(self._database, user_id)
        return {device_id: client_metadata_from(metadata) for device_id, metadata in stored.items()}
