"""The reads of sticky events, from PostgreSQL."""

from collections.abc import Sequence

from homeserver.core.positions import POSITION_MAX
from homeserver.core.requester import Requester
from homeserver.sync.ports import StickyAsked
from homeserver.sync.timeline_event import TimelineEvent
from storage.pool import Database
from storage.tables import sticky_events
from storage.tables.events import Events
from storage.tables.transactions import Transactions, transaction_id_in

__all__ = ["read_sticky_events"]


async def read_sticky_events(
    database: Database, events: Events, asked: StickyAsked, reader: Requester
) -> Sequence[TimelineEvent]:
    """What is sticky now in some rooms, by position."""
    rows = await sticky_events.current(
        database, events, list(asked.after.items()), until=POSITION_MAX, now_ms=asked.now_ms,
        ignored=asked.ignored, limit=asked.limit,
    )  # fmt: skip
    found = [TimelineEvent(position, one.event) for position, one in rows]
    own = [one for one in found if one.event.sender == reader.user_id]
    if own:
        transactions = Transactions(database)
        event_ids = [one.event.event_id for one in own]
        keys = await transactions.of_events(reader.session_id, event_ids, [one.position for one in own])
        delay_ids = await transactions.delay_ids(
            reader.session_id, [event_id for event_id in event_ids if event_id not in keys]
        )
        for one in own:
            event = one.event
            one.session_id = reader.session_id
            one.delay_id = delay_ids.get(event.event_id)
            if event.event_id in keys:
                key = keys[event.event_id]
                one.transaction_id = transaction_id_in(key, event.room_id, event.type)
    return found
