"""Connections that outlast the process, in PostgreSQL."""

from collections.abc import Sequence

from homeserver.sync.sliding.connections import CONNECTIONS_PER_SESSION_MAX
from storage.pool import Database
from storage.tables import sliding_connections
from storage.tables.sliding_connections import ConnectionKey, ConnectionRow

__all__ = ["StoredConnections"]


class StoredConnections:
    """Reads and writes rows; see `homeserver.sync.sliding.ports.KeptConnections`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, key: ConnectionKey, pos: str) -> bytes | None:
        """The snapshot of a connection that has a place of this name."""
        return await sliding_connections.read(self._database, key, pos)

    async def save(self, rows: Sequence[ConnectionRow], gone: Sequence[ConnectionKey], now_ms: int) -> None:
        """Keep connections, and forget others."""
        # Each for itself: no lock is held while another is waited for.
        await sliding_connections.save(self._database, rows, now_ms)
        await sliding_connections.delete(self._database, gone)
        session_ids = {row.session_id for row in rows}
        await sliding_connections.trim(self._database, session_ids, CONNECTIONS_PER_SESSION_MAX)
