"""The handshake by which a user of ours changes their membership of a room of other servers.

Spec: https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from homeserver.core.content.member import membership_in
from homeserver.core.errors import MatrixError, NotFound, RemoteRefused, Unavailable, UnsupportedRoomVersion
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import is_valid_server_name, parse_room_id
from homeserver.core.room_versions import ROOM_VERSIONS, rules_for
from homeserver.rooms.compose import Composer
from homeserver.rooms.ports import RemoteJoins

__all__ = ["SERVERS_MAX", "Handshakes", "Refusals", "servers_to_ask"]

SERVERS_MAX = 10
"""Servers that are asked to let a user in, one after the other."""

_AUTHORISED = "join_authorised_via_users_server"


def servers_to_ask(own: str, room_id: str, *named: Iterable[str]) -> list[str]:
    """List servers that may be in a room, the best first: those that somebody names, then that of its ID."""
    servers = dict.fromkeys(name for names in named for name in names)
    try:
        server_name = parse_room_id(room_id).server_name
    except ValueError:
        server_name = None
    if server_name is not None:
        servers[server_name] = None
    return [one for one in servers if one != own and is_valid_server_name(one)][:SERVERS_MAX]


class Refusals:
    """What servers answered that did not help; of several, the one that says most."""

    def __init__(self) -> None:
        self._error: MatrixError = NotFound("No server is known that is in the room: name some with via.")
        self._weight = 0

    def note(self, error: MatrixError) -> None:
        """Take note of an answer."""
        weight = 1 if isinstance(error, Unavailable) else 3
        if isinstance(error, RemoteRefused) and (error.status == 404 or error.errcode.startswith("M_UNABLE")):
            weight = 2
        if weight > self._weight:
            self._error, self._weight = error, weight

    @property
    def error(self) -> MatrixError:
        """What to tell whoever asked."""
        return self._error


@dataclass(frozen=True, slots=True)
class Shaken:
    """An event of ours that a server in the room has accepted.

    Attributes:
        event: the event.
        answer: what the server said, unchecked.
    """

    event: Event
    answer: dict[str, Any]


class Handshakes:
    """Shakes hands.

    Args:
        remote: other servers.
        composer: makes our events.
    """

    def __init__(self, *, remote: RemoteJoins, composer: Composer) -> None:
        self._remote = remote
        self._composer = composer

    @property
    def server_name(self) -> str:
        """Ours."""
        return self._composer.server_name

    async def shake(
        self, server: str, change: str, room_id: str, user_id: str, content: dict[str, Any], *,
        prepare: Callable[[Event], Awaitable[None]] | None = None,
    ) -> Shaken:  # fmt: skip
        """Change a membership by way of a server.

        Args:
            server: is in the room.
            change: `join`, `leave` or `knock`.
            room_id: the room.
            user_id: one of ours.
            content: of the member event; on whose authority it is, the server says.
            prepare: awaited with the event before the server gets it.

        Raises:
            BadJson, TooLarge: the content has no canonical JSON, or is too large.
            RemoteRefused: the server says no.
            Unavailable: the server does not answer, or not as it should.
            UnsupportedRoomVersion: the room has a version that is not known here.
        """
        sketch = await self._remote.make(server, change, room_id, user_id, list(ROOM_VERSIONS))
        event = self._completed(server, change, room_id, user_id, content, sketch)
        if prepare is not None:
            await prepare(event)
        answer = await self._remote.send(server, change, room_id, event.event_id, event.pdu)
        return Shaken(event, answer if isinstance(answer, dict) else {})

    def after(self, event: Event, user_id: str, content: dict[str, Any]) -> Event:
        """Make the event by which a user leaves where no server that knows the room can be asked."""
        return self._composer.after(event, user_id, content)

    def _completed(
        self, server: str, change: str, room_id: str, user_id: str, content: dict[str, Any], sketch: Any
    ) -> Event:
        template = sketch.get("event") if isinstance(sketch, dict) else None
        if not isinstance(template, dict) or not isinstance(template.get("content"), dict):
            raise Unavailable(f"{server} answers without an event.")
        expected = {"type": "m.room.member", "room_id": room_id, "sender": user_id, "state_key": user_id}
        if any(template.get(key) != value for key, value in expected.items()):
            raise Unavailable(f"{server} answers with another event than was asked for.")
        if membership_in(template["content"]) != change:
            raise Unavailable(f"{server} answers with another membership than was asked for.")
        version = sketch.get("room_version", "1")  # COMPAT: left out by servers that know no other
        rules = rules_for(version) if isinstance(version, str) else None
        if rules is None:
            raise UnsupportedRoomVersion("The room has a version that is not known here.")
        authoriser = template["content"].get(_AUTHORISED)
        if change == "join" and isinstance(authoriser, str):
            content = {**content, _AUTHORISED: authoriser}
        try:
            return self._composer.complete(template, rules, room_id, user_id, content)
        except ValueError as error:
            raise Unavailable(f"{server} sketches an event that cannot be: {error}") from error
