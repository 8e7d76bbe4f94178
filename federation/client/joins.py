"""Calls by which users of ours come into rooms of other servers, and leave them.

Spec: https://spec.matrix.org/v1.19/server-server-api/#joining-rooms and the sections that follow it
"""

from collections.abc import Mapping, Sequence
from typing import Any

from federation.client.client import FederationClient
from federation.client.paths import path
from homeserver.core.errors import RemoteRefused, Unavailable
from homeserver.core.event.pdu import Event
from homeserver.core.room_versions import EventIdFormat

__all__ = ["SENT_BYTES_MAX", "FederatedJoins"]

_V1, _V2 = "/_matrix/federation/v1/", "/_matrix/federation/v2/"
MAKE_TIMEOUT_MS = 30_000
SEND_TIMEOUT_MS = 180_000
"""The state of a large room takes its server a while."""
SENT_BYTES_MAX = 268_435_456
"""The state of the largest rooms: 100,000 members take some 100 MB."""
_OLDER_SERVER = frozenset((400, 404))


class FederatedJoins:
    """Implements `homeserver.rooms.ports.RemoteJoins`.

    Args:
        client: asks other servers.
    """

    def __init__(self, client: FederationClient) -> None:
        self._client = client

    async def make(
        self, server: str, change: str, room_id: str, user_id: str, versions: Sequence[str]
    ) -> Any:
        """Ask for a sketch of a member event.

        Spec: https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_joinroomiduserid

        Raises:
            RemoteRefused: the server says no.
            Unavailable: the server does not answer.
        """
        return await self._client.request(
            server, "GET", path(f"{_V1}make_{change}/{{}}/{{}}", room_id, user_id),
            query={} if change == "leave" else {"ver": list(versions)}, timeout_ms=MAKE_TIMEOUT_MS,
        )  # fmt: skip

    async def send(
        self, server: str, change: str, room_id: str, event_id: str, pdu: Mapping[str, Any]
    ) -> Any:
        """Hand the signed event to a server that is in the room.

        Spec: https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_joinroomideventid

        Raises:
            RemoteRefused: the server says no.
            Unavailable: the server does not answer.
        """
        version = _V1 if change == "knock" else _V2
        try:
            return await self._send(server, version, change, room_id, event_id, pdu)
        except RemoteRefused as error:
            if version == _V1 or error.errcode != "M_UNRECOGNIZED":
                raise
        # COMPAT: older servers answer with a status in front of what they say.
        return _unwrapped(server, await self._send(server, _V1, change, room_id, event_id, pdu))

    async def _send(
        self, server: str, version: str, change: str, room_id: str, event_id: str, pdu: Mapping[str, Any]
    ) -> Any:
        return await self._client.request(
            server, "PUT", path(f"{version}send_{change}/{{}}/{{}}", room_id, event_id), content=pdu,
            query={"omit_members": "false"} if change == "join" else {}, timeout_ms=SEND_TIMEOUT_MS,
            body_bytes_max=SENT_BYTES_MAX,
        )  # fmt: skip

    async def invite(
        self, server: str, version: str, event: Event, stripped: Sequence[Mapping[str, Any]]
    ) -> Any:
        """Tell a server of an invitation of its user; returns the PDU as that server has signed it.

        Spec: https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2inviteroomideventid

        Raises:
            RemoteRefused: the server or its user does not want it.
            Unavailable: the server does not answer.
        """
        body = {"event": event.pdu, "room_version": version, "invite_room_state": list(stripped)}
        try:
            answer = await self._client.request(
                server, "PUT", path(f"{_V2}invite/{{}}/{{}}", event.room_id, event.event_id), content=body
            )
        except RemoteRefused as error:
            is_older = error.status in _OLDER_SERVER and error.errcode in {"M_UNRECOGNIZED", "M_UNKNOWN"}
            if not is_older or event.rules.event_id_format is not EventIdFormat.DOMAIN:
                raise
            answer = _unwrapped(server, await self._client.request(
                server, "PUT", path(f"{_V1}invite/{{}}/{{}}", event.room_id, event.event_id),
                content={**event.pdu, "unsigned": {"invite_room_state": list(stripped)}},
            ))  # fmt: skip
        return answer.get("event") if isinstance(answer, dict) else None

    async def exchange_third_party_invite(
        self, server: str, room_id: str, content: Mapping[str, Any]
    ) -> None:
        """Ask a server to turn the invitation of an address that its user made into one of a user of ours.

        Spec: https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1exchange_third_party_inviteroomid

        Raises:
            RemoteRefused: the server says no.
            Unavailable: the server does not answer.
        """
        await self._client.request(
            server, "PUT", path(f"{_V1}exchange_third_party_invite/{{}}", room_id), content=content
        )


def _unwrapped(server: str, answer: Any) -> Any:
    if not isinstance(answer, list) or len(answer) != 2:
        raise Unavailable(f"{server} answers in no known form.")
    return answer[1]
