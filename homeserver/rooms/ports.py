"""What rooms need of others: implemented beside, joined in `homeserver.app.build`."""

from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any, Literal, Protocol

from homeserver.core.event.pdu import Event
from homeserver.core.room_versions import RoomVersionRules
from homeserver.rooms.actor import RoomActor

__all__ = [
    "IgnoredUsersReader", "InvitePermissionReader", "PersonalSettings", "Policies",
    "PolicyServers", "PolicySigning", "ProfileReader",
    "RemoteDirectory", "RemoteHistory", "RemoteJoins", "RemotePublicRooms", "RemoteServers", "RemoteSpaces",
    "Signatures",
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


class Policies(Protocol):
    """Has events of ours signed by the policy servers of their rooms."""

    def concern(self, room: RoomActor, event_type: str, state_key: str | None) -> bool:
        """Whether an event may need a signature; returns at once."""

    def signed(self, room: RoomActor, event: Event) -> Coroutine[Any, Any, Event]:
        """The event with the signature that it needs.

        Raises:
            Forbidden, RemoteRefused: it gets none.
            Unavailable: the policy server does not answer.
        """


class PolicySigning(Protocol):
    """Reaches policy servers."""

    def sign(self, server: str, pdu: Mapping[str, Any]) -> Coroutine[Any, Any, Mapping[str, Any]]:
        """Signatures by server name and key ID, unchecked.

        Raises:
            RemoteRefused: the server does not want the event in the room.
            Unavailable: it does not answer.
        """


class PolicyServers(Protocol):
    """Asks the policy servers of rooms.

    Spec: https://spec.matrix.org/v1.19/server-server-api/#policy-servers
    """

    def allows(self, event: Event) -> Coroutine[Any, Any, bool]:
        """Whether the room's policy server has no objection to an event, or the room has none."""


class RemoteDirectory(Protocol):
    """Asks other servers what their aliases stand for."""

    def find_alias(self, alias: str) -> Coroutine[Any, Any, tuple[str, list[str]]]:
        """The ID of the room that an alias of another server stands for, and servers that are in it.

        Raises:
            RemoteRefused: that server says that it stands for none.
            Unavailable: the server does not answer.
        """


class RemoteJoins(Protocol):
    """Lets users of ours into the rooms of other servers and out of them. What is answered is unchecked.

    `change` is `join`, `leave` or `knock`.

    Raises from every method:
        RemoteRefused: the server says no.
        Unavailable: the server does not answer.
    """

    def make(
        self, server: str, change: str, room_id: str, user_id: str, versions: Sequence[str]
    ) -> Coroutine[Any, Any, Any]:
        """A sketch of the member event: `make_join` and the others."""

    def send(
        self, server: str, change: str, room_id: str, event_id: str, pdu: Mapping[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        """Hand the signed event to a server that is in the room: `send_join` and the others."""

    def invite(
        self, server: str, version: str, event: Event, stripped: Sequence[Mapping[str, Any]]
    ) -> Coroutine[Any, Any, Any]:
        """Tell a server of an invitation of its user; the PDU as that server has signed it."""

    def exchange_third_party_invite(
        self, server: str, room_id: str, content: Mapping[str, Any]
    ) -> Coroutine[Any, Any, None]:
        """Ask a server to turn the invitation of an address that its user made into one of a user of ours."""


class RemoteHistory(Protocol):
    """Asks other servers for what was in a room before we came in. What they answer is unchecked.

    Raises from every method:
        Unavailable: the server does not answer, or will not.
    """

    def backfill(
        self, server: str, room_id: str, *, latest: Sequence[str], limit: int
    ) -> Coroutine[Any, Any, list[Any]]:
        """Events before and including some, the newest first."""

    def timestamp_to_event(
        self, server: str, room_id: str, *, timestamp_ms: int, direction: Literal["f", "b"]
    ) -> Coroutine[Any, Any, tuple[str, int] | None]:
        """The event that is nearest to a time, and its own time; None: the server knows of none there."""


class RemotePublicRooms(Protocol):
    """Reads the room directories of other servers. What they answer is unchecked.

    Raises from every method:
        RemoteRefused: the server says no.
        Unavailable: the server does not answer.
    """

    def public_rooms(
        self, server: str, request: Mapping[str, Any]
    ) -> Coroutine[Any, Any, Mapping[str, Any]]:
        """A page of it, asked for with the body that the specification has for that."""


class RemoteSpaces(Protocol):
    """Asks other servers what rooms show of themselves. What they answer is unchecked.

    Raises from every method:
        RemoteRefused: the server says no.
        Unavailable: the server does not answer.
    """

    def hierarchy(
        self, server: str, room_id: str, *, suggested_only: bool
    ) -> Coroutine[Any, Any, Mapping[str, Any]]:
        """A room, and the children that it has as a space."""


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

    def missing_on_each(
        self, several: Sequence[tuple[Mapping[str, Any], Collection[str]]], rules: RoomVersionRules
    ) -> Coroutine[Any, Any, list[set[str]]]:
        """The same for many PDUs, each with the servers that should have signed it, in their order."""


class ProfileReader(Protocol):
    """Reads profiles, which member events show."""

    def profile_of(self, user_id: str) -> Coroutine[Any, Any, dict[str, Any]]:
        """Every field that is set; empty for users that are not ours or do not exist."""
