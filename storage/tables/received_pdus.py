"""Table family `received_pdus`: what other servers have sent, and has no place in its room yet."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from storage.tables.queries import Queries

__all__ = ["ReceivedPdu", "add", "delete", "due_in_room", "rooms_due", "sizes", "try_later"]


class ReceivedPdu(NamedTuple):
    """One event, as it came.

    Attributes:
        number: its place in the order in which they came.
        origin: the server that sent it.
        event_id: its ID.
        pdu: its JSON.
        attempts: how often it was tried in vain.
    """

    number: int
    origin: str
    event_id: str
    pdu: bytes
    attempts: int


async def add(
    queries: Queries, origin: str, room_id: str, pdus: Sequence[tuple[str, bytes]], *, received_ms: int,
    retry_ms: int = 0, attempts: int = 0,
) -> list[int]:  # fmt: skip
    """Keep events (ID, JSON) of one room until they have a place; returns their numbers, in their order.

    Args:
        queries: to write with.
        origin: the server that sent them.
        room_id: the room.
        pdus: the events.
        received_ms: when they came.
        retry_ms: not to be tried before.
        attempts: how often they were tried in vain.
    """
    rows = await queries.fetch(
        "INSERT INTO received_pdus (received_ms, retry_ms, attempts, room_id, origin, event_id, pdu)"
        " SELECT %b::bigint, %b::bigint, %b::integer, %b::text, %b::text, event_id, pdu"
        " FROM unnest(%b::text[], %b::bytea[]) WITH ORDINALITY AS new (event_id, pdu, place) ORDER BY place"
        " RETURNING number",
        received_ms, retry_ms, attempts, room_id, origin,
        [event_id for event_id, _ in pdus], [pdu for _, pdu in pdus],
    )  # fmt: skip
    return [number for (number,) in rows]


async def due_in_room(queries: Queries, room_id: str, now_ms: int, *, limit: int) -> list[ReceivedPdu]:
    """Read the first events of a room that are to be tried by now, in the order in which they came."""
    rows = await queries.fetch(
        "SELECT number, origin, event_id, pdu, attempts FROM received_pdus"
        " WHERE room_id = %b AND retry_ms <= %b::bigint ORDER BY number LIMIT %b::bigint",
        room_id, now_ms, limit,
    )  # fmt: skip
    return [ReceivedPdu(*row) for row in rows]


async def rooms_due(queries: Queries, now_ms: int, *, limit: int) -> list[tuple[str, str]]:
    """Name rooms of which something is to be tried by now, each with a server that sent something of it."""
    rows = await queries.fetch(
        "SELECT room_id, min(origin) FROM received_pdus WHERE retry_ms <= %b::bigint GROUP BY room_id"
        " ORDER BY min(number) LIMIT %b::bigint",
        now_ms, limit,
    )  # fmt: skip
    return [(room_id, origin) for room_id, origin in rows]


async def delete(queries: Queries, numbers: Collection[int]) -> None:
    """Let go of what has a place now, or was refused."""
    await queries.execute("DELETE FROM received_pdus WHERE number = ANY(%b::bigint[])", list(numbers))


async def try_later(queries: Queries, tries: Sequence[tuple[int, int]]) -> None:
    """Note for events, by number, that they were tried in vain, and when to try them again."""
    await queries.execute(
        "UPDATE received_pdus SET attempts = attempts + 1, retry_ms = later.retry_ms"
        " FROM unnest(%b::bigint[], %b::bigint[]) AS later (number, retry_ms)"
        " WHERE received_pdus.number = later.number",
        [number for number, _ in tries], [retry_ms for _, retry_ms in tries],
    )  # fmt: skip


async def sizes(queries: Queries) -> dict[str, tuple[int, int]]:
    """Tell how much is kept of each server: events, and their bytes."""
    rows = await queries.fetch(
        "SELECT origin, count(*), sum(octet_length(pdu))::bigint FROM received_pdus GROUP BY origin"
    )
    return {origin: (count, size_bytes) for origin, count, size_bytes in rows}
