"""Who can be invited, whoever invites them to whatever room.

Spec: https://spec.matrix.org/v1.19/client-server-api/#invite-permission
"""

from homeserver.core.errors import Forbidden, InvalidParam, InviteBlocked
from homeserver.core.identifiers import parse_user_id
from homeserver.rooms.ports import InvitePermissionReader

__all__ = ["Invitees"]


class Invitees:
    """Refuses to invite whom this server cannot reach, and who does not want it.

    Args:
        invite_permissions: knows who does not want it.
        server_name: ours.
    """

    def __init__(self, *, invite_permissions: InvitePermissionReader, server_name: str) -> None:
        self._invite_permissions = invite_permissions
        self._server_name = server_name

    async def check(self, user_id: str) -> None:
        """Refuse whom nobody can invite.

        Raises:
            Forbidden: a user of another server, none of which can be reached yet.
            InvalidParam: no user ID.
            InviteBlocked: the user does not want to be invited.
        """
        try:
            server_name = parse_user_id(user_id).server_name
        except ValueError as error:
            raise InvalidParam(str(error)) from None
        if server_name != self._server_name:
            raise Forbidden("Users of other servers cannot be invited yet.")
        if await self._invite_permissions.blocks_invites(user_id):
            raise InviteBlocked(f"{user_id} does not want to be invited.")
