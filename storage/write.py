"""What the journal takes: rows for table families, and the changes that readers will see."""

from dataclasses import dataclass, field
from typing import Any

from homeserver.core.changes import Change

__all__ = ["Statement", "Write"]


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One statement that writes any number of rows of one table family.

    Attributes:
        name: for metrics and errors.
        rank: statements of a flush run in ascending rank, whatever the order of the writes.
        sql: `INSERT … SELECT … FROM unnest(%b::bigint[], …)` with one array parameter a column.
        keys: for upserts: the indices of the conflict key's columns; the last row of a key in a flush wins,
            since PostgreSQL refuses to update one row twice in one statement. Empty: keep every row.
    """

    name: str
    rank: int
    sql: str
    keys: tuple[int, ...] = ()


@dataclass(slots=True, eq=False)
class Write:
    """The smallest unit that is committed whole or not at all.

    Attributes:
        rows: (statement, values) in the order of the statement's columns.
        changes: what is published once the rows are durable; positions already assigned.
        order_key: if a write fails, so do all waiting ones with the same key, as they were made on top of it;
            by default the room of the first `EventChange`.
    """

    rows: list[tuple[Statement, tuple[Any, ...]]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    order_key: str | None = None

    def add(self, statement: Statement, *values: Any) -> None:
        """Add one row."""
        self.rows.append((statement, values))
