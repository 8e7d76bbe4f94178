"""Joins of rooms of this server by users of others.

Spec: https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
"""

from collections.abc import Sequence
from typing import Any

import orjson

from homeserver.http.endpoint import Authentication, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_list, json_response
from homeserver.rooms.member_entries import JoinedRoom, MemberEntries
from homeserver.rooms.member_templates import MemberTemplates

__all__ = ["JoinsEndpoints", "template_response", "versions_of"]

_V1, _V2 = "/_matrix/federation/v1", "/_matrix/federation/v2"
_OLDEST_VERSIONS = ("1",)
"""Who names no version knows no other."""


def versions_of(request: Request) -> Sequence[str]:
    """Read the room versions that the asking server knows."""
    return request.query.get("ver") or _OLDEST_VERSIONS


def template_response(template: dict[str, Any], version: str) -> Response:
    """Answer with a sketch of an event."""
    return json_response({"event": template, "room_version": version})


class JoinsEndpoints:
    """`…/make_join` and `…/send_join`.

    Args:
        templates: sketches events.
        entries: takes in the signed ones.
        server_name: ours.
    """

    def __init__(self, *, templates: MemberTemplates, entries: MemberEntries, server_name: str) -> None:
        self._templates = templates
        self._entries = entries
        self._server_name = server_name

    @endpoint(
        "GET",
        f"{_V1}/make_join/{{roomId}}/{{userId}}",
        authentication=Authentication.SERVER,
        spec="https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_joinroomiduserid",
    )
    async def make_join(self, request: Request) -> Response:
        """Sketch the event by which a user would join."""
        room_id, user_id = request.parameters["roomId"], request.parameters["userId"]
        template, version = await self._templates.join(
            request.origin, room_id, user_id, versions_of(request)
        )
        return template_response(template, version)

    @endpoint(
        "PUT",
        f"{_V2}/send_join/{{roomId}}/{{eventId}}",
        authentication=Authentication.SERVER,
        body=dict,
        timeout_ms_max=180_000,
        spec="https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_joinroomideventid",
    )
    async def send_join(self, request: Request) -> Response:
        """Let a user in; answers with the state of the room before that."""
        omits_members = request.query_boolean("omit_members", default=False)
        return Response(body=await self._joined(request, omits_members=omits_members))

    @endpoint(
        "PUT",
        f"{_V1}/send_join/{{roomId}}/{{eventId}}",
        authentication=Authentication.SERVER,
        body=dict,
        timeout_ms_max=180_000,
        spec="https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1send_joinroomideventid",
    )
    async def send_join_v1(self, request: Request) -> Response:
        """Let a user in: the same, for older servers."""
        return Response(body=b"[200,%b]" % await self._joined(request, omits_members=False))

    async def _joined(self, request: Request, *, omits_members: bool) -> bytes:
        room = await self._entries.join(
            request.origin, request.parameters["roomId"], request.parameters["eventId"], request.body,
            omits_members=omits_members,
        )  # fmt: skip
        return self._encoded(room)

    def _encoded(self, room: JoinedRoom) -> bytes:
        # Events go out as they are stored, signed: a room may have 100,000 of them.
        body = b'{"event":%b,"origin":%b,"members_omitted":%b' % (
            room.event.canonical,
            orjson.dumps(self._server_name),
            b"false" if room.servers is None else b"true",
        )
        if room.servers is not None:
            body += b',"servers_in_room":%b' % orjson.dumps(room.servers)
        body += json_list(b',"auth_chain":[', room.auth_chain, b"]")
        return body + json_list(b',"state":[', room.state, b"]}")
