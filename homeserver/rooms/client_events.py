"""Stored events as one client sees them: the event itself, and what is unsigned beside it."""

from collections.abc import Sequence

from homeserver.core.event.format import client_event, unsigned_json
from homeserver.core.requester import Requester
from homeserver.core.visibility import VisibleHistory
from homeserver.runtime.clock import Clock
from storage.tables.events import Events, StoredEvent
from storage.tables.state import State
from storage.tables.transactions import Transactions

__all__ = ["ClientEvents"]


class ClientEvents:
    """Encodes events for a reader.

    Args:
        events: finds what state events replaced.
        state: knows what they replaced.
        transactions: knows what the reader's session sent.
        clock: for ages.
    """

    def __init__(self, *, events: Events, state: State, transactions: Transactions, clock: Clock) -> None:
        self._events = events
        self._state = state
        self._transactions = transactions
        self._clock = clock

    async def encode(
        self, stored: Sequence[StoredEvent], requester: Requester, history: VisibleHistory
    ) -> list[bytes]:
        """Encode events of one room, each with all of its `unsigned` for this reader."""
        if not stored:
            return []
        state_positions = [one.position for one in stored if one.event.is_state]
        replaced_ids: dict[int, str | None] = {}
        if state_positions:
            replaced_ids = await self._state.replaced_by(stored[0].room_nid, state_positions)
        replaced = await self._events.by_ids({found for found in replaced_ids.values() if found is not None})
        own_ids = [one.event.event_id for one in stored if one.event.sender == requester.user_id]
        own_positions = [one.position for one in stored if one.event.sender == requester.user_id]
        keys = await self._transactions.of_events(requester.session_id, own_ids, own_positions)
        now_ms = self._clock.now_ms()
        encoded = []
        for one in stored:
            before = replaced.get(replaced_ids.get(one.position) or "")
            key = keys.get(one.event.event_id)
            unsigned = unsigned_json(
                age_ms=max(0, now_ms - one.event.origin_server_ts),
                transaction_id=None if key is None else key.split("|", 2)[2],
                membership=history.membership_at(one.position),
                replaced=None if before is None else before.event,
                redacted_because=one.event.redacted_because,
            )
            encoded.append(client_event(one.event, unsigned=unsigned))
        return encoded
