"""Who can be invited, whoever invites them to whatever room.

Spec: https://spec.matrix.org/v1.19/client-server-api/#invite-permission
"""

from homeserver.core.errors import Forbidden, InvalidParam, InviteBlocked
from homeserver.core.identifiers import parse_user_id
from homeserver.rooms.ports import InvitePermissionReader

__all__ = ["Invitees"]


class Invitees:
    """Refuses to invite whom this server cannot reach, and who does not want it.

    Of users of other servers, their servers say who does not want it.

    Args:
        invite_permissions: knows who does not want it.
        server_name: ours.
        is_federated: this server speaks with others.
    """

    def __init__(
        self, *, invite_permissions: InvitePermissionReader, server_name: str, is_federated: bool
    ) -> None:
        self._invite_permissions = invite_permissions
        self._server_name = server_name
        self._is_federated = is_federated

    async def check(self, user_id: str) -> None:
        """Refuse whom nobody can invite.

        Raises:
            Forbidden: a user of another server, and this one speaks with none.
            InvalidParam: no user ID.
            InviteBlocked: the user does not want to be invited.
        """
        try:
            server_name = parse_user_id(user_id).server_name
        except ValueError as error:
            raise InvalidParam(str(error)) from None
        if server_name != self._server_name and not self._is_federated:
            raise Forbidden("That user is of another server, and this one speaks with no other.")
        if await self._invite_permissions.blocks_invites(user_id):
            raise InviteBlocked(f"{user_id} does not want to be invited.")
