"""What other servers lack of what is for us to send, for operators: read from outside of the server."""

from collections.abc import Sequence
from dataclasses import dataclass

from storage.tables.events import EventFlags
from storage.tables.queries import Queries

__all__ = ["PeerLag", "peer_lags"]

_NEVER_SENT = int(EventFlags.OUTLIER | EventFlags.REJECTED | EventFlags.SOFT_FAILED)

_OURS = (
    f"events.flags & {_NEVER_SENT} = 0 AND (events.flags & {int(EventFlags.RELAYED)} <> 0"
    " OR substr(senders.text, strpos(senders.text, ':') + 1) = %b)"
)

_LAGS = (
    "SELECT names.destination, coalesce(waiting.count, 0), waiting.oldest, coalesce(messages.count, 0),"
    " messages.oldest, destinations.failing_since_ms, destinations.retry_ms"
    " FROM unnest(%b::text[]) WITH ORDINALITY AS names (destination, place)"
    " LEFT JOIN LATERAL (SELECT count(*), min(events.position) AS oldest FROM destination_rooms"
    " JOIN events ON events.room_nid = destination_rooms.room_nid"
    " AND events.position >= destination_rooms.position"
    " JOIN interned_users AS senders ON senders.nid = events.sender_nid"
    f" WHERE destination_rooms.destination = names.destination AND {_OURS}) AS waiting ON true"
    " LEFT JOIN LATERAL (SELECT count(*), min(position) AS oldest FROM remote_messages"
    " WHERE remote_messages.destination = names.destination) AS messages ON true"
    " LEFT JOIN destinations USING (destination) ORDER BY names.place"
)


@dataclass(frozen=True, slots=True)
class PeerLag:
    """What one server lacks.

    Attributes:
        name: of the server.
        events: that wait for it, as far as it is noted that they do.
        oldest_event: the position of the first of them.
        messages: for its users' devices.
        oldest_message: the position of the first of them.
        failing_since_ms: since when it has not answered; None: it did when it was last asked.
        retry_ms: it is not asked before.
    """

    name: str
    events: int
    oldest_event: int | None
    messages: int
    oldest_message: int | None
    failing_since_ms: int | None
    retry_ms: int | None


async def peer_lags(queries: Queries, own_name: str, names: Sequence[str]) -> list[PeerLag]:
    """Read what servers lack, in the order of their names as given.

    Args:
        queries: to read with.
        own_name: this server.
        names: the others.
    """
    return [PeerLag(*row) for row in await queries.fetch(_LAGS, list(names), own_name)]
