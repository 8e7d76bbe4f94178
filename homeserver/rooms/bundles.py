"""Bundled aggregations: what is told with an event of those that point at it.

Spec: https://spec.matrix.org/v1.19/client-server-api/#aggregations-of-child-events
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from homeserver.core.canonical_json import encode_plain
from homeserver.core.content.relation import REPLACE, relation_of
from homeserver.core.event.format import client_event, told_to_sender, unsigned_json
from homeserver.core.event.pdu import Event
from homeserver.core.event.sticky import sticky_until_ms
from homeserver.core.requester import Requester
from homeserver.core.visibility import VisibleHistory
from homeserver.rooms.sight import Sight
from storage.tables.events import Events, StoredEvent
from storage.tables.relations import Asked, Parent, Relations, Summary
from storage.tables.transactions import Transactions, transaction_id_in

__all__ = ["Bundles", "Reading"]


@dataclass(frozen=True, slots=True)
class Reading:
    """For whom events are bundled, and of which moment.

    Attributes:
        requester: the reader.
        history: finds out what the reader may see of the room; asked only if there is something to see.
        now_ms: the time, for ages.
        until: nothing above this position is told of; None for no bound.
        ignored: what these users sent does not count.
    """

    requester: Requester
    history: Callable[[], Awaitable[VisibleHistory]]
    now_ms: int
    until: int | None = None
    ignored: Collection[str] = frozenset()


class Bundles:
    """Finds and encodes what is bundled with events.

    Args:
        relations: what points at what.
        events: the events that do.
        transactions: knows what the reader's session sent.
        sight: who may see what.
    """

    def __init__(
        self, *, relations: Relations, events: Events, transactions: Transactions, sight: Sight
    ) -> None:
        self._relations = relations
        self._events = events
        self._transactions = transactions
        self._sight = sight

    async def of(self, room_nid: int, parents: Sequence[Event], reading: Reading) -> dict[str, bytes]:
        """Encode the `m.relations` of those events of one room that have any, by event ID."""
        asked = Asked(reading.requester.user_id, reading.until, reading.ignored)
        summaries = await self._summaries(room_nid, parents, asked)
        if not summaries:
            return {}
        history = await reading.history()
        children = await self._visible(summaries, history)
        # What is told of a thread is its latest event, with what points at that in turn.
        latest = [child.event for one in summaries.values() if (child := _first(one.replies, children))]
        below = await self._summaries(room_nid, latest, asked) if latest else {}
        below_children = await self._visible(below, history) if below else {}
        encode = await self._encoder([*children.values(), *below_children.values()], history, reading)
        nested = {
            event.event_id: bundle
            for event in latest
            if (bundle := _bundle(event, below.get(event.event_id), below_children, encode, {}, reading))
        }
        found: dict[str, bytes] = {}
        for event in parents:
            bundle = _bundle(event, summaries.get(event.event_id), children, encode, nested, reading)
            if bundle is not None:
                found[event.event_id] = bundle
        return found

    async def _summaries(self, room_nid: int, parents: Sequence[Event], asked: Asked) -> dict[str, Summary]:
        # State events get no bundles.
        rows = [
            Parent(event.event_id, event.sender, event.type) for event in parents if event.state_key is None
        ]
        return await self._relations.summaries(room_nid, rows, asked)

    async def _visible(
        self, summaries: dict[str, Summary], history: VisibleHistory
    ) -> dict[str, StoredEvent]:
        event_ids = {
            event_id
            for summary in summaries.values()
            for event_ids in (summary.edits, summary.references, summary.replies)
            for event_id in event_ids
        }
        stored = list((await self._events.by_ids(event_ids)).values())
        visible = await self._sight.visible(history, stored)
        return {one.event.event_id: one for one in visible if not one.is_redacted}

    async def _encoder(
        self, children: Sequence[StoredEvent], history: VisibleHistory, reading: Reading
    ) -> Callable[[StoredEvent, bytes | None], bytes]:
        requester = reading.requester
        own = [one for one in children if one.event.sender == requester.user_id]
        keys = await self._transactions.of_events(
            requester.session_id, [one.event.event_id for one in own], [one.position for one in own]
        )

        def encode(one: StoredEvent, relations: bytes | None) -> bytes:
            event = one.event
            key = keys.get(event.event_id)
            unsigned = unsigned_json(
                age_ms=max(0, reading.now_ms - event.origin_server_ts),
                own=told_to_sender(
                    None if key is None else transaction_id_in(key, event.room_id, event.type)
                ),
                membership=history.membership_at(one.position),
                relations=relations,
                sticky_ttl_ms=sticky_until_ms(event, one.position) - reading.now_ms,
            )
            return client_event(event, unsigned=unsigned)

        return encode


def _first(event_ids: Sequence[str], children: dict[str, StoredEvent]) -> StoredEvent | None:
    return next((children[event_id] for event_id in event_ids if event_id in children), None)


def _replaces(child: StoredEvent | None) -> bool:
    # Of what an erased user said, the reader may see too little to put in an event's place.
    return child is not None and relation_of(child.event.content) is not None


def _bundle(
    parent: Event,
    summary: Summary | None,
    children: dict[str, StoredEvent],
    encode: Callable[[StoredEvent, bytes | None], bytes],
    nested: dict[str, bytes],
    reading: Reading,
) -> bytes | None:
    """Encode the `m.relations` of one event; None if there is nothing in them."""
    if summary is None:
        return None
    parts = []
    relation = relation_of(parent.content)
    # A redacted event is not brought back by its edits, and what is an edit itself is not edited.
    if parent.redacted_because is None and (relation is None or relation.rel_type != REPLACE):
        edit = _first([event_id for event_id in summary.edits if _replaces(children.get(event_id))], children)
        if edit is not None:
            parts.append(b'"m.replace":' + encode(edit, None))
    references = [{"event_id": event_id} for event_id in summary.references if event_id in children]
    if references:
        parts.append(b'"m.reference":' + encode_plain({"chunk": references}))
    latest = _first(summary.replies, children)
    # A thread does not begin with what is the child of another event.
    if latest is not None and relation is None:
        took_part = summary.has_replied or parent.sender == reading.requester.user_id
        parts.append(
            b'"m.thread":{"latest_event":%b,"count":%d,"current_user_participated":%b}'
            % (
                encode(latest, nested.get(latest.event.event_id)), summary.replies_count,
                b"true" if took_part else b"false",
            )
        )  # fmt: skip
    return b"{%b}" % b",".join(parts) if parts else None
