"""Stored events as one client sees them: the event itself, and what is unsigned beside it."""

from collections.abc import Sequence

from homeserver.core.event.format import client_event, told_to_sender, unsigned_json
from homeserver.core.event.pdu import Event
from homeserver.core.event.sticky import sticky_until_ms
from homeserver.core.requester import Requester
from homeserver.core.visibility import VisibleHistory
from homeserver.rooms.bundles import Bundles, Reading
from homeserver.rooms.ports import IgnoredUsersReader
from homeserver.rooms.sight import Sight
from homeserver.runtime.clock import Clock
from storage.tables.events import Events, StoredEvent
from storage.tables.state import State
from storage.tables.transactions import Transactions, transaction_id_in

__all__ = ["ClientEvents"]


class ClientEvents:
    """Encodes events for a reader.

    Args:
        events: finds what state events replaced.
        state: knows what they replaced.
        transactions: knows what the reader's session sent.
        bundles: what is told of events that point at them.
        sight: who may see what.
        ignored_users: whom readers do not want to hear.
        clock: for ages.
    """

    def __init__(
        self, *, events: Events, state: State, transactions: Transactions, bundles: Bundles, sight: Sight,
        ignored_users: IgnoredUsersReader, clock: Clock,
    ) -> None:  # fmt: skip
        self._events = events
        self._state = state
        self._transactions = transactions
        self._bundles = bundles
        self._sight = sight
        self._ignored_users = ignored_users
        self._clock = clock

    async def encode(
        self,
        stored: Sequence[StoredEvent],
        requester: Requester,
        history: VisibleHistory,
        *,
        until: int | None = None,
    ) -> list[bytes]:
        """Encode events of one room, each with all of its `unsigned` for this reader.

        Args:
            stored: the events.
            requester: the reader.
            history: what the reader may see.
            until: nothing above this position is told of what points at the events.
        """
        if not stored:
            return []
        replaced_ids, replaced = await self._replaced(stored, history)
        own = [one for one in stored if one.event.sender == requester.user_id]
        keys = await self._transactions.of_events(
            requester.session_id, [one.event.event_id for one in own], [one.position for one in own]
        )
        others = [one.event.event_id for one in own if one.event.event_id not in keys]
        delay_ids = await self._transactions.delay_ids(requester.session_id, others)
        now_ms = self._clock.now_ms()

        async def known_history() -> VisibleHistory:
            return history

        ignored = await self._ignored_users.ignored_by(requester.user_id)
        reading = Reading(requester, known_history, now_ms, until, ignored)
        relations = await self._bundles.of(stored[0].room_nid, [one.event for one in stored], reading)
        encoded = []
        for one in stored:
            event, before = one.event, replaced_ids.get(one.position)
            key = keys.get(event.event_id)
            unsigned = unsigned_json(
                age_ms=max(0, now_ms - event.origin_server_ts),
                own=told_to_sender(
                    None if key is None else transaction_id_in(key, event.room_id, event.type),
                    delay_ids.get(event.event_id),
                ),
                membership=history.membership_at(one.position),
                replaces_state=before,
                replaced=None if before is None else replaced.get(before),
                redacted_because=event.redacted_because,
                relations=relations.get(event.event_id),
                sticky_ttl_ms=sticky_until_ms(event, one.position) - now_ms,
            )
            encoded.append(client_event(event, unsigned=unsigned))
        return encoded

    async def _replaced(
        self, stored: Sequence[StoredEvent], history: VisibleHistory
    ) -> tuple[dict[int, str | None], dict[str, Event]]:
        """What state events replaced: the IDs by position, and those of the events that may be seen."""
        positions = [one.position for one in stored if one.event.is_state]
        if not positions:
            return {}, {}
        replaced_ids = await self._state.replaced_by(stored[0].room_nid, positions)
        found = await self._events.by_ids({event_id for event_id in replaced_ids.values() if event_id})
        visible = await self._sight.visible(history, list(found.values()))
        return replaced_ids, {one.event.event_id: one.event for one in visible}
