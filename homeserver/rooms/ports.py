"""What rooms need of others: implemented beside, joined in `homeserver.app.build`."""

from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from homeserver.core.event.pdu import Event
from homeserver.core.room_versions import RoomVersionRules

__all__ = [
    "IgnoredUsersReader", "InvitePermissionReader", "PersonalSettings", "PolicyServers", "ProfileReader",
    "RemoteServers", "Signatures",
]  # fmt: skip


class IgnoredUsersReader(Protocol):
    """Knows whom users do not want to hear: their message events are left out of what a user reads."""

    def ignored_by(self, user_id: str) -> Coroutine[Any, Any, frozenset[str]]:
        """The users whose message events this user is not shown; their state events are."""


class InvitePermissionReader(Protocol):
    """Knows which users do not want to be invited."""

    def blocks_invites(self, user_id: str) -> Coroutine[Any, Any, bool]:
        """Whether nobody may invite this user; False for users that are not ours."""


class PersonalSettings(Protocol):
    """Keeps what users set for rooms."""

    def carry_over(self, user_id: str, from_room_id: str, to_room_id: str) -> Coroutine[Any, Any, None]:
        """Give a room what the user set for another, so far as it has nothing of its own."""


class PolicyServers(Protocol):
    """Asks the policy servers of rooms.

    Spec: https://spec.matrix.org/v1.19/server-server-api/#policy-servers
    """

    def allows(self, event: Event) -> Coroutine[Any, Any, bool]:
        """Whether the room's policy server has no objection to an event, or the room has none."""


class RemoteServers(Protocol):
    """Asks other servers for what we lack. What they answer is unchecked.

    Raises from every method:
        Unavailable: the server does not answer, or will not.
    """

    def missing_events(
        self, server: str, room_id: str, *, earliest: Sequence[str], latest: Sequence[str], limit: int
    ) -> Coroutine[Any, Any, list[Any]]:
        """Events between those that we have and those that name others which we lack, oldest first."""

    def event(self, server: str, event_id: str) -> Coroutine[Any, Any, Any]:
        """One event."""

    def event_auth(self, server: str, room_id: str, event_id: str) -> Coroutine[Any, Any, list[Any]]:
        """The whole auth chain of an event."""

    def state_ids(
        self, server: str, room_id: str, event_id: str
    ) -> Coroutine[Any, Any, tuple[list[str], list[str]]]:
        """The IDs of the state before an event, and of all that is in their auth chains."""


class Signatures(Protocol):
    """Verifies the signatures of events."""

    def missing_on(
        self, pdu: Mapping[str, Any], rules: RoomVersionRules, signers: Collection[str]
    ) -> Coroutine[Any, Any, set[str]]:
        """Those of the servers whose valid signature the PDU does not carry."""


class ProfileReader(Protocol):
    """Reads profiles, which member events show."""

    def profile_of(self, user_id: str) -> Coroutine[Any, Any, dict[str, Any]]:
        """Every field that is set; empty for users that are not ours or do not exist."""
