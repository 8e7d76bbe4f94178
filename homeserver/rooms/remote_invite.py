"""Invitations of users of other servers: their server signs them before the room hears of them.

Spec: https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room
"""

import asyncio
from typing import Any

from homeserver.core.errors import Forbidden, Unavailable
from homeserver.core.event.pdu import Event
from homeserver.core.event.stripped import SHOWN, told_pdus
from homeserver.core.identifiers import server_name_of
from homeserver.core.pdu_verdicts import Accepted
from homeserver.rooms.commands import Draft
from homeserver.rooms.gaps import in_time
from homeserver.rooms.ingest import Ingest
from homeserver.rooms.member_templates import composed
from homeserver.rooms.outliers import named
from homeserver.rooms.ports import RemoteJoins, Signatures
from homeserver.rooms.registry import RoomRegistry

__all__ = ["RemoteInviting"]

_MEMBER = "m.room.member"


class RemoteInviting:
    """Invites them.

    Args:
        registry: the rooms.
        remote: other servers.
        ingest: takes in the event once it is signed.
        signatures: verifies events.
    """

    def __init__(
        self, *, registry: RoomRegistry, remote: RemoteJoins, ingest: Ingest, signatures: Signatures
    ) -> None:
        self._registry = registry
        self._remote = remote
        self._ingest = ingest
        self._signatures = signatures

    def is_remote(self, user_id: str) -> bool:
        """Say whether a user is of another server."""
        return server_name_of(user_id) != self._registry.composer.server_name

    async def invite(self, draft: Draft, room_id: str) -> str:
        """Invite a user of another server; returns the ID of the member event.

        Args:
            draft: the member event of the invitee, who is not invited yet.
            room_id: the room, which is here.

        Raises:
            Forbidden: the room does not allow it.
            RemoteRefused: the other server, or its user, does not want it.
            Unavailable: the other server does not answer, or the room has changed meanwhile.
        """
        assert draft.state_key is not None
        server = server_name_of(draft.state_key) or ""
        event = (await composed(self._registry, room_id, draft)).event
        room = await self._registry.actor(room_id, (_MEMBER, draft.sender))
        create = room.create
        if create is not None and create.content.get("m.federate") is False:
            raise Forbidden("The room is for users of one server only.")
        state = room.state.select([*[(kind, "") for kind in SHOWN], (_MEMBER, draft.sender)])
        told = told_pdus(state, draft.sender)
        answer = await in_time(self._remote.invite(server, event.rules.version, event, told))
        pdu = await self._signed(server, event, answer)
        # Others may have sent meanwhile; so it takes its place as what other servers send does. The invited
        # server has it, so the room is to have it too, whether or not whoever asked still waits.
        outcome = await asyncio.shield(
            self._ingest.admit(self._registry.composer.server_name, room_id, pdu)
        )
        if outcome is not None and not isinstance(outcome, Accepted):
            raise Unavailable(f"The room changed meanwhile: {outcome.reason} Try again.")
        return event.event_id

    async def _signed(self, server: str, event: Event, answer: Any) -> dict[str, Any]:
        """Check that the invited server has signed just this event; returns it with both signatures."""
        signatures = answer.get("signatures") if isinstance(answer, dict) else None
        theirs = signatures.get(server) if isinstance(signatures, dict) else None
        pdu = {**event.pdu, "signatures": {**event.pdu["signatures"], server: theirs}}
        if not isinstance(theirs, dict) or event.event_id not in named([answer], event.rules):
            raise Unavailable(f"{server} has not signed the invitation.")
        if await self._signatures.missing_on(pdu, event.rules, [server]):
            raise Unavailable(f"{server} has not signed the invitation.")
        return pdu
