"""Which events point at an event.

Spec: https://spec.matrix.org/v1.19/client-server-api/#relationships-api
"""

from homeserver.core.errors import InvalidParam
from homeserver.core.positions import pagination_token
from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response
from homeserver.rooms.relations import RELATIONS_MAX, RelationReads
from homeserver.rooms.timeline import position_of
from storage.tables.relations import RECURSION_DEPTH_MAX, ChildrenPage

__all__ = ["RelationsEndpoints"]

_LIMIT_DEFAULT = 20


class RelationsEndpoints:
    """`…/relations/{eventId}`, with or without a relationship type and an event type."""

    def __init__(self, *, relation_reads: RelationReads) -> None:
        self._relation_reads = relation_reads

    @endpoint(
        "GET",
        "/_matrix/client/v1/rooms/{roomId}/relations/{eventId}",
        "/_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}",
        "/_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}/{eventType}",
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidrelationseventid",
    )
    async def get_relations(self, request: Request) -> Response:
        """Read a page of the events that point at one."""
        asked = _asked(request)
        page = await self._relation_reads.page(request.requester, request.parameters["roomId"], asked)
        body = b'{"chunk":[%b]' % b",".join(page.chunk)
        if page.next_batch is not None:
            body += b',"next_batch":"%b"' % page.next_batch.encode()
        if asked.start is not None:
            body += b',"prev_batch":"%b"' % pagination_token(asked.start).encode()
        if request.query_maybe("recurse") is not None:
            body += b',"recursion_depth":%d' % (RECURSION_DEPTH_MAX if asked.recurse else 1)
        return Response(body=body + b"}")


def _asked(request: Request) -> ChildrenPage:
    direction = request.query_text("dir", "b")
    if direction not in {"b", "f"}:
        raise InvalidParam("The query parameter dir must be b or f.")
    start, stop = request.query_maybe("from"), request.query_maybe("to")
    return ChildrenPage(
        parent_id=request.parameters["eventId"],
        direction="b" if direction == "b" else "f",
        start=position_of(start) if start else None,
        stop=position_of(stop) if stop else None,
        limit=request.query_integer("limit", _LIMIT_DEFAULT, at_least=1, at_most=RELATIONS_MAX),
        rel_type=request.parameters.get("relType"),
        event_type=request.parameters.get("eventType"),
        recurse=request.query_boolean("recurse", default=False),
    )
