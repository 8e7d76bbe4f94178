"""What a load run does: how many users, rooms, senders and receivers, for how long."""

from dataclasses import dataclass

__all__ = ["Plan", "Target", "Transport"]

Transport = str
"""`long-poll` (any homeserver) or `websocket` (Isthmus)."""


@dataclass(frozen=True, slots=True)
class Target:
    """The homeserver under load.

    Attributes:
        base_url: without a slash at the end.
        server_pids: the processes whose CPU counts as the server's, children included.
        postgres_pids: the same for PostgreSQL; children named `postgres` of the server count here anyway.
        shared_secret: register through the admin API; None: open registration with `m.login.dummy`.
    """

    base_url: str
    server_pids: tuple[int, ...] = ()
    postgres_pids: tuple[int, ...] = ()
    shared_secret: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The shape of a run. User *u* is a member of room *r* where *u - r* (modulo users) < members.

    Attributes:
        users: accounts, one device each.
        rooms: private rooms, made one after the other.
        members: members a room.
        senders: concurrent senders of the closed-loop phase.
        messages: messages of the closed-loop phase, in all.
        rate: messages per second of the delivery phase, in all.
        seconds: length of the delivery phase.
        receivers: receiving clients a room in the delivery phase.
        transport: how receivers receive.
        body_bytes: length of a message's body.
    """

    users: int = 50
    rooms: int = 50
    members: int = 10
    senders: int = 32
    messages: int = 6_400
    rate: int = 100
    seconds: int = 20
    receivers: int = 3
    transport: Transport = "long-poll"
    body_bytes: int = 120

    def mistakes(self) -> list[str]:
        """Sentences that say what cannot work; empty if all is well."""
        wrong = []
        if self.members > self.users:
            wrong.append(f"--members ({self.members}) cannot exceed --users ({self.users}).")
        if self.receivers > self.members:
            wrong.append(f"--receivers ({self.receivers}) cannot exceed --members ({self.members}).")
        if self.users % self.members:
            wrong.append("--users must be a multiple of --members, so that every room has as many receivers.")
        if self.transport not in {"long-poll", "websocket"}:
            wrong.append("--transport is long-poll or websocket.")
        return wrong

    def members_of(self, room: int) -> list[int]:
        """The users of a room; the first is its creator."""
        return [(room + offset) % self.users for offset in range(self.members)]

    def is_receiver(self, user: int) -> bool:
        """Whether a user receives: chosen so that each room has exactly `receivers` of them."""
        place = user % self.members
        return (place + 1) * self.receivers // self.members > place * self.receivers // self.members
