"""Third-party invitations: of people known only by an address, who prove later that it is theirs.

Spec: https://spec.matrix.org/v1.19/client-server-api/#third-party-invites
"""

from typing import Any

from homeserver.core.content.member import INVITE, JOIN, third_party_signed_of
from homeserver.core.errors import BadJson, Forbidden, NotFound, ServerNotTrusted
from homeserver.core.identifiers import server_name_of
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.commands import Draft
from homeserver.rooms.member_content import member_content
from homeserver.rooms.ports import ProfileReader, RemoteJoins
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.remote_invite import RemoteInviting
from homeserver.rooms.residency import Residency
from storage.tables.state import State

__all__ = ["THIRD_PARTY_INVITE", "ThirdPartyInvites", "no_identity_server"]

THIRD_PARTY_INVITE = "m.room.third_party_invite"
_MEMBER = "m.room.member"


def no_identity_server() -> ServerNotTrusted:
    """Say that addresses cannot be looked up."""
    return ServerNotTrusted("This server trusts no identity server: invite by user ID instead.")


class ThirdPartyInvites:
    """Makes invitations of addresses, and redeems them.

    Args:
        registry: the rooms.
        state: what members did before.
        profiles: names and avatars for member events.
        residency: knows which rooms are here.
        remote_inviting: invites users of other servers.
        remote: the servers of those who invited to rooms that are not here.
    """

    def __init__(
        self, *, registry: RoomRegistry, state: State, profiles: ProfileReader, residency: Residency,
        remote_inviting: RemoteInviting, remote: RemoteJoins,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._state = state
        self._profiles = profiles
        self._residency = residency
        self._remote_inviting = remote_inviting
        self._remote = remote

    async def invite(self, user_id: str, room_id: str) -> None:
        """Invite by an address: so far, tell whoever may invite that there is nobody to look it up.

        Raises:
            Forbidden: the user may not invite.
            ServerNotTrusted: no identity server is trusted.
        """
        try:
            room = await self._registry.actor(room_id, (_MEMBER, user_id))
        except NotFound:
            raise Forbidden("You are not in this room, or it does not exist.") from None
        if room.membership(user_id) != JOIN:
            raise Forbidden("You are not in this room, or it does not exist.")
        levels = room.power_levels
        if levels.user_level(user_id) < levels.invite:
            raise Forbidden(f"It takes a power level of {levels.invite} to invite.")
        raise no_identity_server()

    async def redeem(
        self, user_id: str, room_id: str, signed: dict[str, Any], *, sender: str | None = None
    ) -> None:
        """Turn a pending invitation of an address into one of the user whose address it is.

        NOTSPEC: whether the key is still valid is not asked at its `key_validity_url` before identity servers
        are known here.

        Args:
            user_id: who redeems it.
            room_id: the room.
            signed: what the identity server signed: `mxid`, `token`, and maybe `sender`.
            sender: who invited, if it is not part of that.

        Raises:
            BadJson: it lacks something.
            Forbidden: there is no such invitation, or it is not theirs.
            RemoteRefused, Unavailable: the room is not here, and the server of who invited did not take it.
        """
        issuer = _text(signed, "sender") if sender is None else sender
        token = _token_of(signed, user_id)
        if await self._residency.is_resident(room_id):
            await self._redeem(user_id, room_id, issuer, token, signed)
        else:
            await self._exchange(user_id, room_id, issuer, signed)

    async def redeem_here(self, user_id: str, room_id: str, sender: str, signed: dict[str, Any]) -> None:
        """Turn an invitation to a room that is here into one of a user of another server, which asks for it.

        Raises:
            BadJson: what is signed lacks something.
            Forbidden: there is no such invitation, or it is not theirs.
            NotFound: the room is not here.
            RemoteRefused, Unavailable: the user's server does not take the invitation.
        """
        token = _token_of(signed, user_id)
        if not await self._residency.is_resident(room_id):
            raise NotFound("This server is not in the room.")
        await self._redeem(user_id, room_id, sender, token, signed)

    async def _redeem(
        self, user_id: str, room_id: str, sender: str, token: str, signed: dict[str, Any]
    ) -> None:
        room = await self._registry.actor(room_id, (THIRD_PARTY_INVITE, token), (_MEMBER, user_id))
        if room.membership(user_id) in {JOIN, INVITE}:
            return
        pending = room.state.get((THIRD_PARTY_INVITE, token))
        if pending is None or pending.sender != sender:
            raise Forbidden("There is no such third-party invitation in the room.")
        if await self._is_redeemed(room.room_nid, user_id, token):
            raise Forbidden("You have used this third-party invitation already.")
        proof: dict[str, Any] = {"signed": {key: value for key, value in signed.items() if key != "unsigned"}}
        display_name = pending.content.get("display_name")
        if isinstance(display_name, str):
            proof["display_name"] = display_name
        content = member_content(INVITE, await self._profiles.profile_of(user_id))
        draft = Draft(_MEMBER, sender, {**content, "third_party_invite": proof}, user_id)

        def decide(now: RoomActor) -> Draft | None:
            return None if now.membership(user_id) in {JOIN, INVITE} else draft

        # Whether the signature is right is a rule of the room; who sent it need not be of ours for that.
        if self._remote_inviting.is_remote(user_id):
            await self._remote_inviting.invite(draft, room_id)
        else:
            await self._registry.send(room_id, draft, decide=decide)

    async def _exchange(self, user_id: str, room_id: str, sender: str, signed: dict[str, Any]) -> None:
        """Let the server of who invited turn the invitation into one of the user, which it sends us then."""
        server_name = server_name_of(sender)
        if server_name is None:
            raise BadJson("The sender of the third-party invitation is no user.")
        proof = {"display_name": "", "signed": signed}
        event = {
            "content": {"membership": INVITE, "third_party_invite": proof}, "room_id": room_id,
            "sender": sender, "state_key": user_id, "type": _MEMBER,
        }  # fmt: skip
        await self._remote.exchange_third_party_invite(server_name, room_id, event)

    async def _is_redeemed(self, room_nid: int, user_id: str, token: str) -> bool:
        """Whether the user had the invitation: who is kicked then does not come in by it again."""
        past = await self._state.history_of(room_nid, _MEMBER, user_id)
        return any((third_party_signed_of(one.event.content) or {}).get("token") == token for one in past)


def _token_of(signed: dict[str, Any], user_id: str) -> str:
    mxid, token = _text(signed, "mxid"), _text(signed, "token")
    if not isinstance(signed.get("signatures"), dict):
        raise BadJson("third_party_signed must hold an object signatures.")
    if mxid != user_id:
        raise Forbidden("The third-party invitation is signed for another user.")
    return token


def _text(signed: dict[str, Any], key: str) -> str:
    value = signed.get(key)
    if not isinstance(value, str):
        raise BadJson(f"third_party_signed must hold a text {key}.")
    return value
