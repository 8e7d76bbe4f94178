"""The threads of a room.

Spec: https://spec.matrix.org/v1.19/client-server-api/#querying-threads-in-a-room
"""

from homeserver.core.errors import InvalidParam
from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response
from homeserver.rooms.threads import THREADS_MAX, ThreadReads
from homeserver.rooms.timeline import position_of
from storage.tables.relations import ThreadsPage

__all__ = ["ThreadsEndpoints"]

_LIMIT_DEFAULT = 20


class ThreadsEndpoints:
    """`…/rooms/{roomId}/threads`."""

    def __init__(self, *, thread_reads: ThreadReads) -> None:
        self._thread_reads = thread_reads

    @endpoint(
        "GET",
        "/_matrix/client/v1/rooms/{roomId}/threads",
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidthreads",
    )
    async def get_threads(self, request: Request) -> Response:
        """Read a page of the roots of a room's threads."""
        include = request.query_text("include", "all")
        if include not in {"all", "participated"}:
            raise InvalidParam("The query parameter include must be all or participated.")
        start = request.query_maybe("from")
        asked = ThreadsPage(
            start=position_of(start) if start else None,
            limit=request.query_integer("limit", _LIMIT_DEFAULT, at_least=1, at_most=THREADS_MAX),
            participated=include == "participated",
        )
        page = await self._thread_reads.page(request.requester, request.parameters["roomId"], asked)
        body = b'{"chunk":[%b]' % b",".join(page.chunk)
        if page.next_batch is not None:
            body += b',"next_batch":"%b"' % page.next_batch.encode()
        return Response(body=body + b"}")
