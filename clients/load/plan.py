"""What a load run does: how many users, rooms, senders and receivers, for how long."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

__all__ = ["PLANS", "AnyPlan", "IdlePlan", "LargeRoomPlan", "Plan", "Target", "Transport", "plan_of"]

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
        postgres_directory: of the embedded PostgreSQL, whose transactions are counted; None: they are not.
    """

    base_url: str
    server_pids: tuple[int, ...] = ()
    postgres_pids: tuple[int, ...] = ()
    shared_secret: str | None = None
    postgres_directory: Path | None = None


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
        return wrong + _mistakes_of_transport(self.transport)

    def members_of(self, room: int) -> list[int]:
        """The users of a room; the first is its creator."""
        return [(room + offset) % self.users for offset in range(self.members)]

    def is_receiver(self, user: int) -> bool:
        """Whether a user receives: chosen so that each room has exactly `receivers` of them."""
        place = user % self.members
        return (place + 1) * self.receivers // self.members > place * self.receivers // self.members


@dataclass(frozen=True, slots=True)
class LargeRoomPlan:
    """One large room; some of its members are connected, and a few of those send.

    Attributes:
        members: members of the room.
        receivers: how many of them are connected and receive.
        senders: how many of the connected send.
        messages: messages in all.
        rate: messages per second.
        transport: how receivers receive.
        body_bytes: length of a message's body.
    """

    members: int = 1_000
    receivers: int = 200
    senders: int = 20
    messages: int = 200
    rate: int = 5
    transport: Transport = "websocket"
    body_bytes: int = 120

    def mistakes(self) -> list[str]:
        """Sentences that say what cannot work; empty if all is well."""
        wrong = []
        if self.receivers > self.members:
            wrong.append(f"--receivers ({self.receivers}) cannot exceed --members ({self.members}).")
        if self.senders > self.receivers:
            wrong.append(f"--senders ({self.senders}) cannot exceed --receivers ({self.receivers}).")
        return wrong + _mistakes_of_transport(self.transport)


@dataclass(frozen=True, slots=True)
class IdlePlan:
    """Many clients that are connected and to whom nothing happens.

    Attributes:
        clients: connected clients, each a device of its own; spread evenly over the users.
        users: accounts.
        rooms: rooms.
        members: members a room.
        seconds: for how long nothing happens.
        transport: how clients are connected.
    """

    clients: int = 1_000
    users: int = 500
    rooms: int = 100
    members: int = 20
    seconds: int = 60
    transport: Transport = "websocket"

    def members_of(self, room: int) -> list[int]:
        """The users of a room; the first is its creator. Each room begins where the one before ends."""
        return [(room * self.members + offset) % self.users for offset in range(self.members)]

    def mistakes(self) -> list[str]:
        """Sentences that say what cannot work; empty if all is well."""
        wrong = []
        if self.members > self.users:
            wrong.append(f"--members ({self.members}) cannot exceed --users ({self.users}).")
        return wrong + _mistakes_of_transport(self.transport)


AnyPlan = Plan | LargeRoomPlan | IdlePlan

PLANS: dict[str, type[AnyPlan]] = {"rooms": Plan, "large-room": LargeRoomPlan, "idle": IdlePlan}
"""The scenarios by name."""


def plan_of(scenario: str, given: dict[str, Any]) -> tuple[AnyPlan, list[str]]:
    """The plan of a scenario, with its defaults for what is None in `given`, and what is wrong with it."""
    kind = PLANS[scenario]
    wanted = {name: value for name, value in given.items() if value is not None}
    known = {field.name for field in fields(kind)}
    strangers = [f"--{name} says nothing in the scenario {scenario}." for name in wanted if name not in known]
    plan = kind(**{name: value for name, value in wanted.items() if name in known})
    return plan, strangers + plan.mistakes()


def _mistakes_of_transport(transport: Transport) -> list[str]:
    return [] if transport in {"long-poll", "websocket"} else ["--transport is long-poll or websocket."]
