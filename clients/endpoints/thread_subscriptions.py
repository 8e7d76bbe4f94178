"""Thread subscriptions.

Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/4306 and
https://github.com/matrix-org/matrix-spec-proposals/pull/4308
"""

import msgspec

from homeserver.core.errors import InvalidParam
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.thread_subscriptions import ThreadSubscriptions
from homeserver.sync.thread_pages import THREADS_PER_PAGE_MAX, ThreadPages

__all__ = ["ThreadSubscriptionsEndpoints"]

_PATH = (
    "/_matrix/client/unstable/io.element.msc4306/rooms/{roomId}/thread/{threadRootId}/subscription"
)
_SPEC = "https://github.com/matrix-org/matrix-spec-proposals/pull/4306"
_LIMIT_DEFAULT = 100


class SubscribeBody(msgspec.Struct):
    """Why the user is subscribed: the event for which a client does it; without, they wish it themselves."""

    automatic: str | None = None


class ThreadSubscriptionsEndpoints:
    """`…/rooms/{roomId}/thread/{threadRootId}/subscription` and `…/thread_subscriptions`."""

    def __init__(self, *, subscriptions: ThreadSubscriptions, pages: ThreadPages) -> None:
        self._subscriptions = subscriptions
        self._pages = pages

    @endpoint("PUT", _PATH, rate_limit=RateLimit.MESSAGE, body=SubscribeBody, spec=_SPEC)
    async def set_subscription(self, request: Request) -> Response:
        """Follow a thread."""
        room_id, root_id = request.parameters["roomId"], request.parameters["threadRootId"]
        await self._subscriptions.subscribe(request.requester, room_id, root_id, request.body.automatic)
        return json_response({})

    @endpoint("GET", _PATH, spec=_SPEC)
    async def get_subscription(self, request: Request) -> Response:
        """Tell whether one follows a thread, and why."""
        room_id, root_id = request.parameters["roomId"], request.parameters["threadRootId"]
        found = await self._subscriptions.find(request.requester, room_id, root_id)
        return json_response({"automatic": found.is_automatic})

    @endpoint("DELETE", _PATH, rate_limit=RateLimit.MESSAGE, spec=_SPEC)
    async def delete_subscription(self, request: Request) -> Response:
        """Follow a thread no more."""
        room_id, root_id = request.parameters["roomId"], request.parameters["threadRootId"]
        await self._subscriptions.unsubscribe(request.requester, room_id, root_id)
        return json_response({})

    @endpoint(
        "GET",
        "/_matrix/client/unstable/io.element.msc4308/thread_subscriptions",
        spec="https://github.com/matrix-org/matrix-spec-proposals/pull/4308",
    )
    async def get_subscriptions(self, request: Request) -> Response:
        """Read a page of what changed, newest first."""
        if request.query_text("dir") != "b":
            raise InvalidParam("The query parameter dir must be b: only the way back is there.")
        limit = request.query_integer("limit", _LIMIT_DEFAULT, at_least=1, at_most=THREADS_PER_PAGE_MAX)
        body = await self._pages.page(
            request.requester.user_id, start=request.query_maybe("from"), stop=request.query_maybe("to"),
            limit=limit,
        )  # fmt: skip
        return Response(body=body)
