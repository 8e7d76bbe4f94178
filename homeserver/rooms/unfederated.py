"""The other servers of a server that speaks with none."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from homeserver.core.errors import Forbidden, NotFound
from homeserver.core.event.pdu import Event

__all__ = ["NoOtherServers"]

_NO_ROOM = "There is no such room on this server, which speaks with no other."


class NoOtherServers:
    """Implements `homeserver.rooms.ports.RemoteJoins` and `RemoteDirectory`: what is not here is nowhere."""

    async def find_alias(self, alias: str) -> NoReturn:
        """Find no alias."""
        raise NotFound(f"The alias {alias} stands for no room on this server, which speaks with no other.")

    async def make(
        self, server: str, change: str, room_id: str, user_id: str, versions: Sequence[str]
    ) -> NoReturn:
        """Find no room."""
        del server, change, room_id, user_id, versions
        raise NotFound(_NO_ROOM)

    async def send(
        self, server: str, change: str, room_id: str, event_id: str, pdu: Mapping[str, Any]
    ) -> NoReturn:
        """Find no room."""
        del server, change, room_id, event_id, pdu
        raise NotFound(_NO_ROOM)

    async def invite(
        self, server: str, version: str, event: Event, stripped: Sequence[Mapping[str, Any]]
    ) -> NoReturn:
        """Reach no user."""
        del server, version, stripped
        raise Forbidden(f"{event.state_key} is of another server, and this one speaks with none.")

    async def exchange_third_party_invite(
        self, server: str, room_id: str, content: Mapping[str, Any]
    ) -> NoReturn:
        """Find no room."""
        del server, room_id, content
        raise NotFound(_NO_ROOM)
