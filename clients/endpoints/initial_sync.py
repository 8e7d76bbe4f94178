"""Snapshots and the event stream of old, which clients still use to look into rooms that they are not in.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-previews
"""

from collections.abc import Iterable

import orjson

from homeserver.core.changes import AccountDataChange
from homeserver.core.positions import SyncToken
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response
from homeserver.rooms.initial_sync import MESSAGES_MAX, InitialSync, RoomSnapshot
from homeserver.sync.event_stream import EventStream, Stretch
from homeserver.sync.ports import SyncReads
from homeserver.sync.request import TIMEOUT_MS_MAX, parse_since

__all__ = ["InitialSyncEndpoints"]

MESSAGES_DEFAULT = 10
_SPEC = "https://spec.matrix.org/v1.19/client-server-api/"


class InitialSyncEndpoints:
    """`…/rooms/{roomId}/initialSync`, `…/initialSync`, `…/events` and `…/events/{eventId}`."""

    def __init__(self, *, initial_sync: InitialSync, event_stream: EventStream, reads: SyncReads) -> None:
        self._initial_sync = initial_sync
        self._event_stream = event_stream
        self._reads = reads

    @endpoint(
        "GET",
        "/_matrix/client/v3/rooms/{roomId}/initialSync",
        spec=f"{_SPEC}#get_matrixclientv3roomsroomidinitialsync",
    )
    async def get_room_initial_sync(self, request: Request) -> Response:
        """Take a snapshot of a room."""
        user_id, room_id = request.requester.user_id, request.parameters["roomId"]
        snapshot = await self._initial_sync.of_room(request.requester, room_id, _limit(request))
        rows = await self._reads.account_data_of_rooms(user_id, {room_id})
        return Response(body=_room(snapshot, rows))

    @endpoint(
        "GET",
        "/_matrix/client/v3/initialSync",
        spec=f"{_SPEC}#get_matrixclientv3initialsync",
        timeout_ms_max=180_000,
    )
    async def get_initial_sync(self, request: Request) -> Response:
        """Take a snapshot of every room of the user."""
        # Told twice rather than not at all: what happens from here on is in the event stream after `end`.
        end = self._event_stream.here()
        with_left = request.query_boolean("archived", default=False)
        reader = await self._event_stream.reader(request.requester.user_id)
        rooms = await self._initial_sync.of_user(
            request.requester, _limit(request), with_left=with_left,
            wants_invite_by=lambda sender: not (reader.blocks_invites or sender in reader.ignored),
        )  # fmt: skip
        presence = await self._event_stream.presence(reader)
        rows = await self._reads.account_data_after(request.requester.user_id, 0)
        everywhere = _account_data(row for row in rows if row.room_id is None)
        encoded = [_room(one, (row for row in rows if row.room_id == one.room_id)) for one in rooms]
        return Response(
            body=b'{"end":"%b","presence":[%b],"account_data":[%b],"rooms":[%b]}'
            % (_token(end), b",".join(presence), everywhere, b",".join(encoded))
        )

    @endpoint(
        "GET",
        "/_matrix/client/v3/events",
        rate_limit=RateLimit.NONE,  # as that of sync, which it waits like
        spec=f"{_SPEC}#get_matrixclientv3events",
        timeout_ms_max=TIMEOUT_MS_MAX + 60_000,
    )
    async def get_events(self, request: Request) -> Response:
        """Tell what happened since the client's token, in all rooms of the user or in one, waiting for it."""
        since = parse_since(request.query_maybe("from"))
        timeout_ms = request.query_integer("timeout", 0, at_most=TIMEOUT_MS_MAX)
        room_id = request.query_maybe("room_id")
        if room_id is None:
            return _stretch(await self._event_stream.read(request.requester, since, timeout_ms))
        await self._initial_sync.check_visible(request.requester, room_id)
        return _stretch(await self._event_stream.peek(request.requester, room_id, since, timeout_ms))

    @endpoint(
        "GET",
        "/_matrix/client/v3/events/{eventId}",
        spec=f"{_SPEC}#get_matrixclientv3eventseventid",
    )
    async def get_event(self, request: Request) -> Response:
        """Read one event, whatever room it is in."""
        return Response(body=await self._initial_sync.event(request.requester, request.parameters["eventId"]))


def _limit(request: Request) -> int:
    return request.query_integer("limit", MESSAGES_DEFAULT, at_most=MESSAGES_MAX)


def _token(token: SyncToken) -> bytes:
    return token.encode().encode()


def _stretch(stretch: Stretch) -> Response:
    chunk = b",".join(stretch.chunk)
    return Response(
        body=b'{"start":"%b","end":"%b","chunk":[%b]}' % (_token(stretch.start), _token(stretch.end), chunk)
    )


def _room(snapshot: RoomSnapshot, rows: Iterable[AccountDataChange]) -> bytes:
    parts = [b'"room_id":%b' % orjson.dumps(snapshot.room_id)]
    if snapshot.membership is not None:
        parts.append(b'"membership":%b' % orjson.dumps(snapshot.membership))
    if snapshot.invite is not None:
        parts.append(b'"invite":%b' % snapshot.invite)
    else:
        parts.append(b'"visibility":"%b"' % (b"public" if snapshot.is_public else b"private"))
        parts.append(b'"state":[%b]' % b",".join(snapshot.state))
    if snapshot.messages is not None:
        page = snapshot.messages
        chunk = b",".join(reversed(page.chunk))
        start = b"" if page.end is None else b'"start":"%b",' % page.end.encode()
        parts.append(b'"messages":{%b"end":"%b","chunk":[%b]}' % (start, page.start.encode(), chunk))
    parts.append(b'"account_data":[%b]' % _account_data(rows))
    return b"{%b}" % b",".join(parts)


def _account_data(rows: Iterable[AccountDataChange]) -> bytes:
    return b",".join(
        b'{"type":%b,"content":%b}' % (orjson.dumps(row.type), row.content)
        for row in rows
        if row.content is not None
    )
