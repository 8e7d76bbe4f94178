"""The content of `m.room.member`.

Spec: https://spec.matrix.org/v1.19/client-server-api/#mroommember
"""

from collections.abc import Mapping
from typing import Any, Final

from homeserver.core.event.pdu import Event

__all__ = [
    "BAN", "INVITE", "JOIN", "KNOCK", "LEAVE", "authoriser_of", "membership_in", "membership_of",
    "third_party_signed_of",
]  # fmt: skip

BAN: Final = "ban"
INVITE: Final = "invite"
JOIN: Final = "join"
KNOCK: Final = "knock"
LEAVE: Final = "leave"


def membership_in(content: Mapping[str, Any]) -> str | None:
    """Read the membership from content; None if it holds no text."""
    membership = content.get("membership")
    return membership if isinstance(membership, str) else None


def membership_of(event: Event | None) -> str:
    """Read the membership that a user has by their member event: `leave` for one who never had any."""
    return LEAVE if event is None else membership_in(event.content) or LEAVE


def authoriser_of(content: Mapping[str, Any]) -> str | None:
    """Name the user on whose authority a join passes a restricted join rule; None if no text is there."""
    authoriser = content.get("join_authorised_via_users_server")
    return authoriser if isinstance(authoriser, str) else None


def third_party_signed_of(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Read `third_party_invite.signed`; None if there is no such object."""
    third_party_invite = content.get("third_party_invite")
    signed = third_party_invite.get("signed") if isinstance(third_party_invite, dict) else None
    return signed if isinstance(signed, dict) else None
