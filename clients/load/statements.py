"""Counts the statements that PostgreSQL is asked, by its log; of an embedded one, on this machine."""

import re
from pathlib import Path
from typing import Self

from storage.pool import Database

__all__ = ["StatementLog"]

_STATEMENT = re.compile(rb"LOG:  (?:statement|execute [^:]*): (.*)")


class StatementLog:
    """What PostgreSQL was asked while the block ran; its log has every statement meanwhile.

    Args:
        directory: the one that a server keeps for its PostgreSQL.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._log = directory / "postgres.log"
        self._from_bytes = 0

    async def __aenter__(self) -> Self:
        await self._set("all")
        self._from_bytes = self._log.stat().st_size
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._set("none")

    def statements(self) -> list[str]:
        """The first lines of all statements since the block began."""
        with self._log.open("rb") as log:
            log.seek(self._from_bytes)
            return [found.decode(errors="replace") for found in _STATEMENT.findall(log.read())]

    async def _set(self, which: str) -> None:
        lines = (self._directory / "postgres" / "postmaster.pid").read_text().splitlines()
        socket = lines[4].strip() if lines[4].strip() != "." else str(self._directory / "postgres")
        # Not the server's database, so that this connection is none of those that are watched for long.
        dsn = f"host={socket} port={lines[3].strip()} user=isthmus dbname=postgres"
        database = await Database.open(dsn, pool_size_min=1, pool_size_max=1)
        try:
            await database.execute(f"ALTER SYSTEM SET log_statement = '{which}'")
            await database.fetch("SELECT pg_reload_conf()")
        finally:
            await database.close()
