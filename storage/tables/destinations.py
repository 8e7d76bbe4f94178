"""Table family `destinations`: servers that did not answer when they were last asked."""

from collections.abc import Collection
from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = ["Trouble", "forget", "in_trouble", "save"]


@dataclass(slots=True)
class Trouble:
    """What is known of a server that does not answer.

    Attributes:
        failing_since_ms: when it failed first, since it last answered.
        failed_ms: when it failed last.
        retry_ms: not to be asked before.
        interval_ms: between the last failure and that.
    """

    failing_since_ms: int
    failed_ms: int
    retry_ms: int
    interval_ms: int


async def in_trouble(queries: Queries, *, limit: int) -> dict[str, Trouble]:
    """Read which servers failed, those that failed last first."""
    rows = await queries.fetch(
        "SELECT destination, failing_since_ms, failed_ms, retry_ms, interval_ms FROM destinations"
        " ORDER BY failed_ms DESC LIMIT %b::bigint",
        limit,
    )
    return {destination: Trouble(*rest) for destination, *rest in rows}


async def save(queries: Queries, troubles: dict[str, Trouble]) -> None:
    """Store what is known of some servers."""
    ordered = sorted(troubles)  # so that two who save at once do not wait for each other
    found = [troubles[destination] for destination in ordered]
    await queries.execute(
        "INSERT INTO destinations (destination, failing_since_ms, failed_ms, retry_ms, interval_ms)"
        " SELECT * FROM unnest(%b::text[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[])"
        " ON CONFLICT (destination) DO UPDATE SET failing_since_ms = excluded.failing_since_ms,"
        " failed_ms = excluded.failed_ms, retry_ms = excluded.retry_ms, interval_ms = excluded.interval_ms",
        ordered, [one.failing_since_ms for one in found], [one.failed_ms for one in found],
        [one.retry_ms for one in found], [one.interval_ms for one in found],
    )  # fmt: skip


async def forget(queries: Queries, destinations: Collection[str]) -> None:
    """Forget the trouble of servers that answer."""
    await queries.execute("DELETE FROM destinations WHERE destination = ANY(%b::text[])", list(destinations))
