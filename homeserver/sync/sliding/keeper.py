"""Keeps connections over restarts: saves those that rest, and all when the server stops; finds them again.

A connection that is in memory is neither read nor written by who asks with it.
"""

import asyncio
from collections.abc import Sequence

from homeserver.core.errors import MatrixError
from homeserver.core.requester import Requester
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Failure, Observer
from homeserver.sync.sliding.connections import Connections, Place
from homeserver.sync.sliding.ports import KeptConnections
from homeserver.sync.sliding.snapshot import pack, unpack
from storage.tables.sliding_connections import ConnectionKey, ConnectionRow

__all__ = ["ConnectionKeeper"]

CONNECTIONS_PER_SWEEP_MAX = 100
"""However many change: so that saving never takes the time of those who wait."""
BYTES_PER_WRITE_MAX = 4 * 1024 * 1024
_INTERVAL_S = 10.0
_SAVE_ALL_TIMEOUT_S = 10.0
_POSITION_CHARACTERS_MAX = 64


class ConnectionKeeper:
    """Lets storage remember what `Connections` knows.

    Args:
        connections: those in memory.
        kept: those in storage.
        clock: tells when they were saved.
        observer: hears of failures.
    """

    def __init__(
        self, *, connections: Connections, kept: KeptConnections, clock: Clock, observer: Observer
    ) -> None:
        self._connections = connections
        self._kept = kept
        self._clock = clock
        self._observer = observer

    async def find(self, requester: Requester, conn_id: str | None, pos: str) -> tuple[Place, int]:
        """The place with this name, which acknowledges all before it; and the turn of who asks.

        Raises:
            UnknownPos: this connection has no such place, nor had it when it was saved.
        """
        if not self._connections.has(requester, conn_id) and _is_name(pos):
            packed = await self._kept.read((requester.session_id, conn_id), pos)
            places = None if packed is None else unpack(packed)
            is_there = places is not None and any(one is not None and one.pos == pos for one in places)
            # Meanwhile another request of the connection may have come: what it has made counts.
            if places is not None and is_there and not self._connections.has(requester, conn_id):
                self._connections.restore(requester, conn_id, *places)
        return self._connections.find(requester, conn_id, pos)

    async def run(self) -> None:
        """Save for ever; to be started once, in the background."""
        while True:
            await asyncio.sleep(_INTERVAL_S)
            await self.sweep()

    async def sweep(self) -> int:
        """Save some of those that have not changed since the last sweep; returns how many were looked at."""
        unsaved = self._connections.unsaved
        keys = unsaved.take_resting(CONNECTIONS_PER_SWEEP_MAX)
        unsaved.rest()
        return len(keys) if await self._save(keys) else 0

    async def save_all(self) -> int:
        """Save all that changed, as far as there is time; returns how many were looked at."""
        unsaved = self._connections.unsaved
        unsaved.rest()
        saved = 0
        try:
            async with asyncio.timeout(_SAVE_ALL_TIMEOUT_S):
                while keys := unsaved.take_resting(CONNECTIONS_PER_SWEEP_MAX):
                    if not await self._save(keys):
                        break
                    saved += len(keys)
        except TimeoutError as error:
            self._observer(Failure(error))
        return saved

    async def _save(self, keys: Sequence[ConnectionKey]) -> bool:
        """Save connections; whether that went well. If not, they are still to be saved."""
        try:
            await self._write(keys)
        except BaseException as error:
            self._connections.unsaved.note_again(keys)
            if not isinstance(error, MatrixError):
                raise
            self._observer(Failure(error))
            return False
        return True

    async def _write(self, keys: Sequence[ConnectionKey]) -> None:
        rows: list[ConnectionRow] = []
        gone: list[ConnectionKey] = []
        size_bytes = 0
        for key in keys:
            row = self._row(key)
            if row is None:
                gone.append(key)
            else:
                rows.append(row)
                size_bytes += len(row.snapshot)
            if size_bytes > BYTES_PER_WRITE_MAX:
                await self._kept.save(rows, (), self._clock.now_ms())
                rows, size_bytes = [], 0
            await asyncio.sleep(0)  # packing takes a while: let others have their turn
        if rows or gone:
            await self._kept.save(rows, gone, self._clock.now_ms())

    def _row(self, key: ConnectionKey) -> ConnectionRow | None:
        places = self._connections.places(key)
        snapshot = None if places is None else pack(places)
        if places is None or snapshot is None:
            return None
        newest, acknowledged = places
        positions = newest.pos, newest.pos if acknowledged is None else acknowledged.pos
        return ConnectionRow(*key, positions, snapshot)


def _is_name(pos: str) -> bool:
    return 0 < len(pos) <= _POSITION_CHARACTERS_MAX and pos.isascii() and pos.isprintable()
