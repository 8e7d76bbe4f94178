"""Clients that register themselves, as every one does before each sign-in.

Spec: https://spec.matrix.org/v1.19/client-server-api/#client-registration
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from homeserver.core.errors import Unavailable
from homeserver.core.oauth.client_metadata import ClientMetadata, parse_client_metadata
from homeserver.core.oauth.errors import InvalidClient
from homeserver.runtime.clock import Clock
from storage.pool import Database
from storage.tables import oauth_clients

__all__ = ["OAuthClients", "client_metadata_from"]

_CLIENT_ID_CHARACTERS_MAX = 64


def client_metadata_from(stored: bytes) -> ClientMetadata:
    """Read what `OAuthClients` has stored."""
    return parse_client_metadata(orjson.loads(stored))


class OAuthClients:
    """Registers and finds clients.

    Args:
        database: where they are kept.
        clock: tells their age.
        clients_max: no more are kept; the one that nobody has used for longest goes first.
        unused_ms_max: a client without a session is forgotten after that time.
    """

    def __init__(
        self, *, database: Database, clock: Clock, clients_max: int = 10_000, unused_ms_max: int = 604_800_000
    ) -> None:
        assert clients_max >= 1
        self._database = database
        self._clock = clock
        self._clients_max = clients_max
        self._unused_ms_max = unused_ms_max

    async def register(self, given: Mapping[str, Any]) -> tuple[str, ClientMetadata]:
        """Take a client in; returns its ID, which is the same for all who say the same of themselves.

        Raises:
            OAuthError: the metadata is not acceptable.
            Unavailable: there are too many clients, all with sessions.
        """
        metadata = parse_client_metadata(given)
        encoded = orjson.dumps(metadata.body(), option=orjson.OPT_SORT_KEYS)
        client_id = base64.urlsafe_b64encode(hashlib.sha256(encoded).digest()[:18]).decode()
        now_ms = self._clock.now_ms()
        if not await oauth_clients.touch(self._database, client_id, now_ms):
            await self._make_room(now_ms)
            await oauth_clients.register(self._database, client_id, encoded, now_ms)
        return client_id, metadata

    async def find(self, client_id: str) -> ClientMetadata:
        """What a client said of itself.

        Raises:
            InvalidClient: it is not registered (any more).
        """
        if not client_id.isascii() or "\0" in client_id or len(client_id) > _CLIENT_ID_CHARACTERS_MAX:
            raise InvalidClient
        stored = await oauth_clients.find(self._database, client_id)
        if stored is None:
            raise InvalidClient
        return client_metadata_from(stored)

    async def _make_room(self, now_ms: int) -> None:
        await oauth_clients.delete_unused_since(self._database, now_ms - self._unused_ms_max)
        if await oauth_clients.count_up_to(self._database, self._clients_max) < self._clients_max:
            return
        if not await oauth_clients.delete_oldest_unused(self._database):
            raise Unavailable("This server knows too many clients; its operator can allow more.")
