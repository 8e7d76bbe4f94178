"""What other servers are told of spaces: one level, of rooms that one of their users could see.

Spec: https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1hierarchyroomid
"""

from typing import Any

from homeserver.core.content.space import CHILD, SPACE, in_order, is_child, is_suggested
from homeserver.core.errors import NotFound
from homeserver.core.event.pdu import Event
from homeserver.rooms.hierarchy import CHILD_EVENT_BYTES_MAX, stripped_child
from homeserver.rooms.room_summary import RoomSummaries, RoomSummary
from storage.tables.room_cards import RoomCards

__all__ = ["HierarchyForServers"]

CHILDREN_TOLD_MAX = 200


class HierarchyForServers:
    """Reads rooms and their children.

    Args:
        cards: reads the children of spaces.
        summaries: what rooms show, and to whom.
    """

    def __init__(self, *, cards: RoomCards, summaries: RoomSummaries) -> None:
        self._cards = cards
        self._summaries = summaries

    async def of(self, origin: str, room_id: str, *, suggested_only: bool) -> dict[str, Any]:
        """Tell a room, and those of its children that are known here.

        Args:
            origin: which server asks.
            room_id: the room.
            suggested_only: only children that the space recommends.

        Raises:
            NotFound: there is no such room here, or it does not show itself to that server.
        """
        summary = (await self._summaries.shown_to_server(origin, [room_id])).get(room_id)
        if summary is None:
            raise NotFound("There is no such room here, or nobody of your server could see it.")
        children = await self._children(summary, suggested_only=suggested_only)
        child_ids = list(dict.fromkeys(child.state_key or "" for child in children))
        known = await self._summaries.known(child_ids)
        shown = await self._summaries.shown_to_server(origin, list(known))
        return {
            "room": {**summary.body(), "children_state": [stripped_child(child) for child in children]},
            "children": [shown[child_id].body() for child_id in child_ids if child_id in shown],
            "inaccessible_children": [one for one in child_ids if one in known and one not in shown],
        }

    async def _children(self, summary: RoomSummary, *, suggested_only: bool) -> list[Event]:
        if summary.room_type != SPACE:
            return []
        stored = await self._cards.of_type(
            summary.room_nid, CHILD, limit=CHILDREN_TOLD_MAX, bytes_max=CHILD_EVENT_BYTES_MAX
        )
        children = [one.event for one in stored if is_child(one.event)]
        return in_order([child for child in children if not suggested_only or is_suggested(child)])
