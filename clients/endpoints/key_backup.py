"""Server-side key backups.

Spec: https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Annotated, Any

import msgspec
import orjson

from homeserver.core.errors import BadJson, InvalidParam, NotFound
from homeserver.e2ee.key_backup import KeyBackups, KeysState
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from storage.tables.key_backup import BackedUpKey, BackupRow, KeyPlace

__all__ = ["KeyBackupEndpoints"]

_VERSIONS = "/_matrix/client/v3/room_keys/version"
_KEYS = "/_matrix/client/v3/room_keys/keys"
_SPEC = "https://spec.matrix.org/v1.19/client-server-api/"
INTEGER_MAX = 2**53 - 1
_any_object = msgspec.json.Decoder(dict[str, Any])

_Count = Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)]


class BackupBody(msgspec.Struct):
    """A backup as a client makes or changes it."""

    algorithm: str
    auth_data: dict[str, Any]
    version: str | None = None


class KeyBody(msgspec.Struct):
    """The key of one session."""

    first_message_index: _Count
    forwarded_count: _Count
    is_verified: bool
    session_data: msgspec.Raw

    def at(self, room_id: str, session_id: str) -> BackedUpKey:
        """The key as the key of a session.

        Raises:
            BadJson: `session_data` is no JSON object.
        """
        try:
            session_data = _any_object.decode(self.session_data)
        except msgspec.MsgspecError:
            raise BadJson("session_data must be a JSON object.") from None
        return BackedUpKey(
            room_id, session_id, self.is_verified, self.first_message_index, self.forwarded_count,
            msgspec.json.encode(session_data),
        )  # fmt: skip


class RoomKeysBody(msgspec.Struct):
    """Keys of one room, by session ID."""

    sessions: dict[str, KeyBody]

    def at(self, room_id: str) -> Iterator[BackedUpKey]:
        """The keys as keys of a room."""
        return (key.at(room_id, session_id) for session_id, key in self.sessions.items())


class KeysBody(msgspec.Struct):
    """Keys of several rooms, by room ID."""

    rooms: dict[str, RoomKeysBody]


class KeyBackupEndpoints:
    """`…/room_keys/version` and `…/room_keys/keys`."""

    def __init__(self, *, key_backups: KeyBackups) -> None:
        self._key_backups = key_backups

    @endpoint(
        "POST", _VERSIONS, rate_limit=RateLimit.MESSAGE, body=BackupBody,
        spec=_SPEC + "#post_matrixclientv3room_keysversion",
    )  # fmt: skip
    async def create_backup(self, request: Request) -> Response:
        """Begin a backup."""
        body: BackupBody = request.body
        auth_data = msgspec.json.encode(body.auth_data)
        version = await self._key_backups.create(request.requester.user_id, body.algorithm, auth_data)
        return json_response({"version": version})

    @endpoint("GET", _VERSIONS, spec=_SPEC + "#get_matrixclientv3room_keysversion")
    async def get_current_backup(self, request: Request) -> Response:
        """Tell about the latest backup."""
        return _backup(await self._key_backups.current(request.requester.user_id))

    @endpoint("GET", _VERSIONS + "/{version}", spec=_SPEC + "#get_matrixclientv3room_keysversionversion")
    async def get_backup(self, request: Request) -> Response:
        """Tell about one backup."""
        version = request.parameters["version"]
        return _backup(await self._key_backups.find(request.requester.user_id, version))

    @endpoint(
        "PUT", _VERSIONS + "/{version}", rate_limit=RateLimit.MESSAGE, body=BackupBody,
        spec=_SPEC + "#put_matrixclientv3room_keysversionversion",
    )  # fmt: skip
    async def set_backup(self, request: Request) -> Response:
        """Change the authentication data of a backup."""
        body: BackupBody = request.body
        version = request.parameters["version"]
        if body.version is not None and body.version != version:
            raise InvalidParam("version must be the one that the path names.")
        await self._key_backups.set_auth_data(
            request.requester.user_id, version, body.algorithm, msgspec.json.encode(body.auth_data)
        )
        return json_response({})

    @endpoint(
        "DELETE", _VERSIONS + "/{version}", rate_limit=RateLimit.MESSAGE,
        spec=_SPEC + "#delete_matrixclientv3room_keysversionversion",
    )  # fmt: skip
    async def delete_backup(self, request: Request) -> Response:
        """Delete a backup with its keys."""
        await self._key_backups.delete(request.requester.user_id, request.parameters["version"])
        return json_response({})

    @endpoint(
        "PUT", _KEYS + "/{roomId}/{sessionId}", rate_limit=RateLimit.MESSAGE, body=KeyBody,
        spec=_SPEC + "#put_matrixclientv3room_keyskeysroomidsessionid",
    )  # fmt: skip
    async def set_key(self, request: Request) -> Response:
        """Store the key of one session."""
        parameters = request.parameters
        return await self._put(request, [request.body.at(parameters["roomId"], parameters["sessionId"])])

    @endpoint(
        "PUT", _KEYS + "/{roomId}", rate_limit=RateLimit.MESSAGE, body=RoomKeysBody,
        spec=_SPEC + "#put_matrixclientv3room_keyskeysroomid",
    )  # fmt: skip
    async def set_keys_of_room(self, request: Request) -> Response:
        """Store keys of one room."""
        return await self._put(request, request.body.at(request.parameters["roomId"]))

    @endpoint(
        "PUT", _KEYS, rate_limit=RateLimit.MESSAGE, body=KeysBody,
        spec=_SPEC + "#put_matrixclientv3room_keyskeys",
    )  # fmt: skip
    async def set_keys(self, request: Request) -> Response:
        """Store keys of several rooms."""
        body: KeysBody = request.body
        keys = (key for room_id, room in body.rooms.items() for key in room.at(room_id))
        return await self._put(request, keys)

    @endpoint(
        "GET", _KEYS + "/{roomId}/{sessionId}",
        spec=_SPEC + "#get_matrixclientv3room_keyskeysroomidsessionid",
    )  # fmt: skip
    async def get_key(self, request: Request) -> Response:
        """Read the key of one session."""
        async for page in self._pages(request):
            return Response(body=_key(page[0]))
        raise NotFound("There is no key of this session in the backup.")

    @endpoint("GET", _KEYS + "/{roomId}", spec=_SPEC + "#get_matrixclientv3room_keyskeysroomid")
    async def get_keys_of_room(self, request: Request) -> Response:
        """Read the keys of one room."""
        parts = [_named(key) async for page in self._pages(request) for key in page]
        return Response(body=b'{"sessions":{%b}}' % b",".join(parts))

    @endpoint("GET", _KEYS, spec=_SPEC + "#get_matrixclientv3room_keyskeys")
    async def get_keys(self, request: Request) -> Response:
        """Read all keys."""
        rooms: dict[str, list[bytes]] = {}
        async for page in self._pages(request):
            for key in page:
                rooms.setdefault(key.room_id, []).append(_named(key))
        parts = [
            b'%b:{"sessions":{%b}}' % (orjson.dumps(room_id), b",".join(keys))
            for room_id, keys in rooms.items()
        ]
        return Response(body=b'{"rooms":{%b}}' % b",".join(parts))

    @endpoint(
        "DELETE", _KEYS + "/{roomId}/{sessionId}", rate_limit=RateLimit.MESSAGE,
        spec=_SPEC + "#delete_matrixclientv3room_keyskeysroomidsessionid",
    )  # fmt: skip
    async def delete_key(self, request: Request) -> Response:
        """Delete the key of one session."""
        return await self._delete(request)

    @endpoint(
        "DELETE", _KEYS + "/{roomId}", rate_limit=RateLimit.MESSAGE,
        spec=_SPEC + "#delete_matrixclientv3room_keyskeysroomid",
    )  # fmt: skip
    async def delete_keys_of_room(self, request: Request) -> Response:
        """Delete the keys of one room."""
        return await self._delete(request)

    @endpoint(
        "DELETE", _KEYS, rate_limit=RateLimit.MESSAGE, spec=_SPEC + "#delete_matrixclientv3room_keyskeys"
    )
    async def delete_keys(self, request: Request) -> Response:
        """Delete all keys."""
        return await self._delete(request)

    async def _put(self, request: Request, keys: Iterable[BackedUpKey]) -> Response:
        version = request.query_text("version")
        return _state(await self._key_backups.put(request.requester.user_id, version, keys))

    async def _delete(self, request: Request) -> Response:
        version = request.query_text("version")
        state = await self._key_backups.delete_keys(request.requester.user_id, version, _place(request))
        return _state(state)

    def _pages(self, request: Request) -> AsyncIterator[list[BackedUpKey]]:
        version = request.query_text("version")
        return self._key_backups.keys(request.requester.user_id, version, _place(request))


def _place(request: Request) -> KeyPlace:
    return KeyPlace(request.parameters.get("roomId"), request.parameters.get("sessionId"))


def _state(state: KeysState) -> Response:
    return json_response({"etag": state.etag, "count": state.count})


def _backup(row: BackupRow) -> Response:
    return Response(
        body=b'{"algorithm":%b,"auth_data":%b,"count":%d,"etag":"%d","version":"%d"}'
        % (orjson.dumps(row.algorithm), row.auth_data, row.key_count, row.etag, row.version)
    )


def _named(key: BackedUpKey) -> bytes:
    return b"%b:%b" % (orjson.dumps(key.session_id), _key(key))


def _key(key: BackedUpKey) -> bytes:
    return b'{"first_message_index":%d,"forwarded_count":%d,"is_verified":%b,"session_data":%b}' % (
        key.first_message_index,
        key.forwarded_count,
        b"true" if key.is_verified else b"false",
        key.session_data,
    )
