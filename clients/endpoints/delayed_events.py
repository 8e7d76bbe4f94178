"""Delayed events (MSC4140), under the names that clients in use call them by and those that are to come.

Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/4140
"""

from typing import Any

import orjson

from homeserver.core.errors import InvalidParam, MissingParam, NotFound, UnknownError
from homeserver.core.event.sticky import STICKY_MS_MAX
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.commands import Draft
from homeserver.rooms.delayed_events import DelayedEvents, DelayTooLong, check_action
from storage.tables.delayed_events import DelayedEvent

__all__ = ["DELAY", "STICKY_DURATION", "DelayedEventsEndpoints", "delay_of", "sticky_ms_of"]

DELAY = "org.matrix.msc4140.delay"
STICKY_DURATION = "org.matrix.msc4354.sticky_duration_ms"
_SPEC = "https://github.com/matrix-org/matrix-spec-proposals/pull/4140"
_UNSTABLE = "/_matrix/client/unstable/org.matrix.msc4140"
_STABLE = "/_matrix/client/v1"


def delay_of(request: Request) -> int | None:
    """Read the delay that an event is to be sent with, if any.

    Raises:
        InvalidParam: it is no positive integer.
    """
    if request.query_maybe(DELAY) is None:
        return None
    return request.query_integer(DELAY, 0, at_least=1)


def sticky_ms_of(request: Request) -> int | None:
    """Read for how many milliseconds an event is to be sticky, if it is (MSC4354).

    Raises:
        InvalidParam: it is no integer, or out of bounds.
    """
    if request.query_maybe(STICKY_DURATION) is None:
        return None
    duration_ms = request.query_integer(STICKY_DURATION, 0)
    if duration_ms > STICKY_MS_MAX:
        raise InvalidParam(f"The query parameter {STICKY_DURATION} must be at most {STICKY_MS_MAX}.")
    return duration_ms


class DelayTooLarge(UnknownError):
    """The delay is longer than this server waits, as the endpoint to come says it."""

    def __init__(self, error: DelayTooLong, *, is_stable: bool) -> None:
        super().__init__(error.error, **{"org.matrix.msc4140.max_delay": error.delay_ms_max})
        self.errcode = "M_DELAY_TOO_LARGE" if is_stable else "ORG.MATRIX.MSC4140_DELAY_TOO_LARGE"


class DelayedEventsEndpoints:
    """Scheduling by an endpoint of its own, acting on what waits, and reading it."""

    def __init__(self, *, delayed_events: DelayedEvents) -> None:
        self._delayed_events = delayed_events

    @endpoint(
        "PUT",
        f"{_UNSTABLE}/rooms/{{roomId}}/delayed_event/{{eventType}}/{{txnId}}",
        "/_matrix/client/v3/rooms/{roomId}/delayed_event/{eventType}/{txnId}",
        rate_limit=RateLimit.MESSAGE,
        body=dict,
        spec=_SPEC,
    )
    async def schedule_event(self, request: Request) -> Response:
        """Schedule an event, once for each transaction ID."""
        body, named = request.body, request.parameters
        if "content" not in body:
            raise MissingParam("content: say what the event is to hold.")
        content, state_key = body["content"], body.get("state_key")
        delay_ms = body.get("delay_ms", body.get("delay"))
        if not isinstance(content, dict):
            raise InvalidParam("content must be an object.")
        if state_key is not None and not isinstance(state_key, str):
            raise InvalidParam("state_key must be a text.")
        if type(delay_ms) is not int:
            raise InvalidParam("delay_ms must be a positive integer.")
        sticky_ms = sticky_ms_of(request)
        if state_key is not None and sticky_ms is not None:
            raise InvalidParam("A state event cannot be sticky.")
        draft = Draft(
            named["eventType"], request.requester.user_id, content, state_key, sticky_ms=sticky_ms
        )
        try:
            delay_id = await self._delayed_events.schedule(
                request.requester, named["roomId"], draft, delay_ms, transaction_id=named["txnId"]
            )
        except DelayTooLong as error:
            raise DelayTooLarge(error, is_stable=not request.path.startswith(_UNSTABLE)) from None
        return json_response({"delay_id": delay_id})

    @endpoint(
        "POST",
        f"{_STABLE}/delayed_events/{{delayId}}/{{action}}",
        rate_limit=RateLimit.MESSAGE,
        body=dict,
        spec=_SPEC,
    )
    async def act(self, request: Request) -> Response:
        """Send, restart or cancel a delayed event of one's own."""
        named = request.parameters
        await self._delayed_events.act(named["delayId"], named["action"], request.requester)
        return json_response({})

    # The ID is the secret: a call service that was told it acts without an account.
    @endpoint(
        "POST",
        f"{_UNSTABLE}/delayed_events/{{delayId}}/{{action}}",
        authentication=Authentication.OPTIONAL,
        rate_limit=RateLimit.MESSAGE,
        body=dict,
        spec=_SPEC,
    )
    async def act_by_id(self, request: Request) -> Response:
        """Send, restart or cancel a delayed event whose ID one knows."""
        return await self._act_unstable(request, request.parameters["action"])

    @endpoint(
        "POST",
        f"{_UNSTABLE}/delayed_events/{{delayId}}",
        authentication=Authentication.OPTIONAL,
        rate_limit=RateLimit.MESSAGE,
        body=dict,
        spec=_SPEC,
    )
    async def act_by_body(self, request: Request) -> Response:
        """Do the same, as the first drafts had it."""
        action = request.body.get("action")
        if action is None:
            raise MissingParam("action: say what is to be done with the event.")
        if not isinstance(action, str):
            raise InvalidParam("action must be a text.")
        return await self._act_unstable(request, action)

    async def _act_unstable(self, request: Request, action: str) -> Response:
        delay_id, requester = request.parameters["delayId"], request.maybe_requester
        check_action(action)
        found = await self._delayed_events.find(delay_id, requester)
        if found.finalised_ms is not None:
            # COMPAT: call services take 404 as "it was sent already".
            raise NotFound("There is no such delayed event any more.")
        await self._delayed_events.act(delay_id, action, requester)
        return json_response({})

    @endpoint("GET", f"{_UNSTABLE}/delayed_events", spec=_SPEC)
    async def get_delayed_events(self, request: Request) -> Response:
        """Read what of one's own waits."""
        waiting = await self._delayed_events.of_user(request.requester.user_id)
        told = [_described(one) | {"delay": one.delay_ms, "running_since": one.since_ms} for one in waiting]
        return json_response({"delayed_events": told})

    @endpoint(
        "GET",
        f"{_STABLE}/delayed_events/{{delayId}}",
        f"{_UNSTABLE}/delayed_events/{{delayId}}",
        spec=_SPEC,
    )
    async def get_delayed_event(self, request: Request) -> Response:
        """Read one delayed event of one's own, also for a while after it is over."""
        found = await self._delayed_events.find(request.parameters["delayId"], request.requester)
        told = _described(found) | {"delay_ms": found.delay_ms, "delayed_since_ts": found.since_ms}
        if found.finalised_ms is not None:
            finalised: dict[str, Any] = {"finalised_ts": found.finalised_ms}
            if found.event_id is not None:
                finalised["event_id"] = found.event_id
            if found.error is not None:
                finalised["error"] = orjson.loads(found.error)
            told["finalised"] = finalised
        return json_response(told)


def _described(one: DelayedEvent) -> dict[str, Any]:
    told: dict[str, Any] = {
        "delay_id": one.delay_id,
        "room_id": one.room_id,
        "type": one.type,
        "content": orjson.loads(one.content),
    }
    if one.state_key is not None:
        told["state_key"] = one.state_key
    return told
