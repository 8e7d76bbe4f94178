"""What clients may not relate to what: nobody reacts the same way twice, and threads are not nested.

Spec: https://spec.matrix.org/v1.19/client-server-api/#avoiding-duplicate-annotations

Events of other servers are not held to this: readers pass over what breaks the rules.
"""

from homeserver.core.content.relation import ANNOTATION, THREAD, relation_of
from homeserver.core.errors import DuplicateAnnotation, NotFound, UnknownError
from homeserver.rooms.commands import Draft, Origin
from homeserver.rooms.registry import RoomRegistry
from storage.cache import LruCache
from storage.tables.events import Events
from storage.tables.relations import Relations
from storage.tables.transactions import Transactions

__all__ = ["RelationRules"]

_ROOTS_MAX = 10_000
_MEMBER = "m.room.member"


class RelationRules:
    """Refuses relations that clients should not make.

    Args:
        registry: the rooms.
        relations: what points at what.
        events: the events that do.
        transactions: tells a repetition from a second time.
    """

    def __init__(
        self, *, registry: RoomRegistry, relations: Relations, events: Events, transactions: Transactions
    ) -> None:
        self._registry = registry
        self._relations = relations
        self._events = events
        self._transactions = transactions
        # An event never comes to point at another later on: what may be a root once, always may.
        self._roots: LruCache[str, bool] = LruCache(_ROOTS_MAX)

    async def check(self, room_id: str, draft: Draft, origin: Origin) -> None:
        """Check the relation of an event that a client wants to send, if it has one.

        Raises:
            DuplicateAnnotation: the sender reacted like this to the same event before.
            UnknownError: it would begin a thread at an event that is itself the child of another.
        """
        relation = relation_of(draft.content)
        if relation is None or relation.rel_type not in {ANNOTATION, THREAD}:
            return
        try:
            room = await self._registry.actor(room_id, (_MEMBER, draft.sender))
        except NotFound:
            return  # refused where the event is sent
        if room.membership(draft.sender) != "join":
            return
        if relation.rel_type == THREAD:
            await self._check_root(relation.event_id)
        elif await self._has_reacted(room.room_nid, draft, relation.event_id):
            sent = await self._transactions.find(origin.requester.session_id, origin.key(room_id, draft.type))
            if sent is None:
                raise DuplicateAnnotation("You have reacted to this event like this before.")

    async def _check_root(self, root_id: str) -> None:
        if root_id in self._roots:
            return
        root = await self._events.by_id(root_id)
        if root is None:
            return  # not here yet, perhaps
        if relation_of(root.event.content) is not None:
            raise UnknownError("A thread cannot begin at an event that is itself related to another.")
        self._roots.put(root_id, value=True)

    async def _has_reacted(self, room_nid: int, draft: Draft, parent_id: str) -> bool:
        event_ids = await self._relations.annotations_by(room_nid, parent_id, draft.sender, draft.type)
        if not event_ids:
            return False
        key = _key_of(draft.content)
        before = (await self._events.by_ids(event_ids)).values()
        return any(_key_of(one.event.content) == key for one in before)


def _key_of(content: dict[str, object]) -> object:
    relates_to = content.get("m.relates_to")
    return relates_to.get("key") if isinstance(relates_to, dict) else None
