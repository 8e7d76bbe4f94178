"""Rooms for stories: everybody has a name, every event a short ID, and a state is what changed since the
fork."""

from collections.abc import Callable, Mapping
from typing import Any

from homeserver.core.auth.selection import StateKey
from tests.factory.room_graph import Resolver, RoomGraph, State

__all__ = ["CASES", "RoomStory", "case"]

Case = Callable[["RoomStory"], Mapping[str, str | None]]

CASES: list[tuple[str, Case]] = []
"""Every case with a room version that it is told in."""


def case(*versions: str) -> Callable[[Case], Case]:
    """Register a function that tells a story of a room and returns what becomes of it.

    It returns what is different from the state at the fork: event IDs, or None, by `type` or
    `type state_key`, the type without its `m.room.`.
    """

    def register(tell: Case) -> Case:
        CASES.extend((version, tell) for version in versions)
        return tell

    return register


class RoomStory(RoomGraph):
    """A public room. Alice, who made it (100, or more), Bob and Carol (50), and Dave (0) are in it.

    Attributes:
        fork: where branches begin that are not said to begin elsewhere.
        states: those to resolve, if not the ones after the forward extremities.
    """

    def __init__(self, version: str, resolve: Resolver) -> None:
        """Let them all join."""
        super().__init__(version, resolve)
        self.states: list[State] = []
        self.fork = "$create"
        self._said = self.create.event_id
        self.member("alice", "alice", "join", "alice")
        self.levels("levels", "alice")
        self.rules_are("rules", "alice", "public")
        for name in ("bob", "carol", "dave"):
            self.member(name, name, "join", name)
        self.fork = self._said

    def branch(self, after: str | None = None) -> None:
        """Go back to the fork, or to an event: what is said next follows it."""
        self._said = after or self.fork

    def say(
        self,
        event_id: str,
        sender: str,
        event_type: str,
        content: Mapping[str, Any],
        state_key: str | None = "",
        **claims: Any,
    ) -> str:
        """Add an event after the one before; it must be allowed there."""
        full_id = event_id if event_id.startswith("$") else f"${event_id}"
        user_id = user_id_of(sender)
        self.add(full_id, user_id, f"m.room.{event_type}", content, state_key, prev=[self._said], **claims)
        assert full_id not in self.rejected, self.describe([full_id])
        self._said = full_id
        return full_id

    def member(
        self, event_id: str, sender: str, membership: str, target: str, *, ts: int | None = None, **more: Any
    ) -> str:
        """Let somebody change a membership."""
        content = {"membership": membership, **more}
        return self.say(event_id, sender, "member", content, user_id_of(target), ts=ts)

    def levels(self, event_id: str, sender: str, ts: int | None = None, **changes: Any) -> str:
        """Let somebody set levels: of users by their names, else of actions, beside those that all have."""
        users = {"alice": 100, "bob": 50, "carol": 50}
        if self.rules.authorization.explicitly_privilege_room_creators:
            del users["alice"]
        content = {}
        for name, level in changes.items():
            (users if name in {"alice", "bob", "carol", "dave", "erin"} else content)[name] = level
        content["users"] = {user_id_of(name): level for name, level in users.items()}
        return self.say(event_id, sender, "power_levels", content, ts=ts)

    def rules_are(self, event_id: str, sender: str, join_rule: str, ts: int | None = None) -> str:
        """Let somebody set the join rule."""
        return self.say(event_id, sender, "join_rules", {"join_rule": join_rule}, ts=ts)

    def topic(self, event_id: str, sender: str, **claims: Any) -> str:
        """Let somebody set the topic."""
        return self.say(event_id, sender, "topic", {"topic": event_id}, **claims)

    def state(self, after: str, **instead: str | None) -> State:
        """Make up a state: the one after an event, but with other events for some keys."""
        state: State = dict(self.state_after[f"${after}"])
        for name, event_id in instead.items():
            if event_id is None:
                state.pop(key_of(name), None)
            else:
                state[key_of(name)] = f"${event_id}"
        return state

    def ends(self) -> list[State]:
        """List the states to resolve."""
        return self.states or [self.state_after[head] for head in self.heads]

    def since_fork(self, state: State) -> dict[str, str | None]:
        """Say what in a state is different from the state at the fork."""
        at_fork = self.state_after[self.fork]
        return {
            name_of(key): state[key][1:] if key in state else None
            for key in at_fork | state
            if state.get(key) != at_fork.get(key)
        }


def user_id_of(name: str) -> str:
    """Return the user ID of somebody."""
    return f"@{name}:{name[0]}"


def key_of(name: str) -> StateKey:
    """Read the short name of a type and state key."""
    event_type, _, user = name.partition(" ")
    return f"m.room.{event_type}", user_id_of(user) if event_type == "member" else user


def name_of(key: StateKey) -> str:
    """Return the short name of a type and state key."""
    short = key[0].removeprefix("m.room.")
    state_key = key[1][1:].partition(":")[0] if short == "member" else key[1]
    return f"{short} {state_key}".rstrip()
