"""What the functions of a table family need of a connection: the pool and a transaction both have it."""

from typing import Any, Protocol

__all__ = ["Queries"]


class Queries(Protocol):
    """Runs statements, each for itself (the pool) or all in one transaction."""

    async def fetch(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """All rows."""

    async def fetch_one(self, statement: str, *parameters: Any) -> tuple[Any, ...] | None:
        """The first row, if any."""

    async def execute(self, statement: str, *parameters: Any) -> int:
        """How many rows were affected."""
