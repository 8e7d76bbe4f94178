"""Rooms whose events fork and merge: made fast, so that thousands of them can be tried.

Nothing is hashed or signed: event IDs are chosen, so that a test can say which of two is smaller.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from homeserver.core.auth.check import authorize, authorize_by_auth_events
from homeserver.core.auth.selection import StateKey, auth_types_for
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import server_name_of
from homeserver.core.room_versions import ROOM_VERSIONS

__all__ = ["RoomGraph", "State"]

State: TypeAlias = dict[StateKey, str]
"""Event IDs by type and state key."""

Resolver: TypeAlias = Callable[["RoomGraph", Sequence[State]], State]

START_MS = 1_000


class RoomGraph:
    """A room as a graph of events; an event that is not allowed is in it, but changes no state.

    Attributes:
        create: the room's `m.room.create`.
        events: all of them by ID, each after those that it refers to.
        rejected: IDs of those that are not allowed.
        state_after: the room state after each event.
    """

    def __init__(
        self,
        version: str,
        resolve: Resolver,
        *,
        creator: str = "@alice:a",
        create_content: Mapping[str, Any] | None = None,
        create_id: str = "$create",
    ) -> None:
        """Make a room with nothing but the event that creates it."""
        self.rules = ROOM_VERSIONS[version]
        self.events: dict[str, Event] = {}
        self.rejected: set[str] = set()
        self.state_after: dict[str, State] = {}
        self._resolve = resolve
        self._named_by_id = self.rules.authorization.room_create_event_id_as_room_id
        self.room_id = "!" + create_id[1:] if self._named_by_id else "!room:a"
        content = {"room_version": version, "creator": creator, **(create_content or {})}
        self.create = self._build(
            create_id, creator, "m.room.create", content, "", prev=(), auth=(), depth=1, ts=START_MS
        )
        self._keep(self.create, {})

    @property
    def heads(self) -> list[str]:
        """The forward extremities."""
        referred_to = {prev for event in self.events.values() for prev in event.prev_events}
        return [event_id for event_id in self.events if event_id not in referred_to]

    def state_before(self, prev: Iterable[str]) -> State:
        """Resolve the states after the events that an event follows."""
        states = [self.state_after[event_id] for event_id in prev]
        if all(state == states[0] for state in states):
            return states[0]
        return self._resolve(self, states)

    def select_auth(
        self, sender: str, event_type: str, content: Mapping[str, Any], state_key: str | None, state: State
    ) -> list[str]:
        """Name the events of a state that allow an event."""
        selected = auth_types_for(self.rules, event_type, sender, state_key, content)
        return [state[key] for key in selected if key in state]

    def add(
        self,
        event_id: str,
        sender: str,
        event_type: str,
        content: Mapping[str, Any] | None = None,
        state_key: str | None = None,
        *,
        prev: Sequence[str] | None = None,
        auth: Sequence[str] | None = None,
        ts: int | None = None,
        depth: int | None = None,
    ) -> str:
        """Add an event; what is not said about it is what an honest server would say. Returns its ID."""
        assert event_id not in self.events
        prev = self.heads if prev is None else prev
        state = self.state_before(prev)
        content = dict(content or {})
        if auth is None:
            auth = self.select_auth(sender, event_type, content, state_key, state)
        depth = 1 + max(self.events[each].depth for each in prev) if depth is None else depth
        ts = START_MS + len(self.events) if ts is None else ts
        event = self._build(
            event_id, sender, event_type, content, state_key, prev=prev, auth=auth, depth=depth, ts=ts
        )
        self._keep(event, state)
        return event_id

    def adopt(self, event: Event) -> None:
        """Add an event of another copy of this room."""
        self._keep(event, self.state_before(event.prev_events))

    def empty_copy(self) -> "RoomGraph":
        """Return a copy of this room that has only its first event, to `adopt` the others."""
        copy = RoomGraph.__new__(RoomGraph)
        copy.__dict__ |= self.__dict__ | {"events": {}, "rejected": set(), "state_after": {}}
        copy._keep(self.create, {})
        return copy

    def describe(self, event_ids: Collection[str] | None = None) -> str:
        """Say what is in the room, for whoever reads why a test failed."""
        lines = []
        for event in self.events.values():
            if event_ids is None or event.event_id in event_ids:
                mark = "✗" if event.event_id in self.rejected else " "
                lines.append(
                    f"{mark} {event.event_id} {event.type} {event.state_key!r} by {event.sender}"
                    f" {event.content} prev={event.prev_events} auth={event.auth_events}"
                    f" ts={event.origin_server_ts} depth={event.depth}"
                )
        return "\n".join(lines)

    def _keep(self, event: Event, state: State) -> None:
        self.events[event.event_id] = event
        if not self._is_allowed(event, state):
            self.rejected.add(event.event_id)
        elif event.state_key is not None:
            state = {**state, (event.type, event.state_key): event.event_id}
        self.state_after[event.event_id] = state

    def _is_allowed(self, event: Event, state: State) -> bool:
        known = [self.events[each] for each in event.auth_events if each in self.events]
        create = self.events.get(self.create.event_id) if event.type != "m.room.create" else event
        if authorize_by_auth_events(event, known, create=create, rejected=self.rejected) is not None:
            return False
        return authorize(event, {key: self.events[each] for key, each in state.items()}) is None

    def _build(
        self,
        event_id: str,
        sender: str,
        event_type: str,
        content: Mapping[str, Any],
        state_key: str | None,
        *,
        prev: Iterable[str],
        auth: Iterable[str],
        depth: int,
        ts: int,
    ) -> Event:
        paired = self.rules.event_references_are_pairs
        pdu: dict[str, Any] = {
            "type": event_type,
            "sender": sender,
            "content": content,
            "depth": depth,
            "origin_server_ts": ts,
            "prev_events": [[each, {}] if paired else each for each in prev],
            "auth_events": [[each, {}] if paired else each for each in auth],
        }
        if state_key is not None:
            pdu["state_key"] = state_key
        if not (self._named_by_id and event_type == "m.room.create"):
            pdu["room_id"] = self.room_id
        authoriser = content.get("join_authorised_via_users_server")
        if authoriser is not None:  # only whether there is a signature is looked at
            pdu["signatures"] = {server_name_of(authoriser): {"ed25519:0": "signature"}}
        return Event(pdu, b"", self.rules, event_id)
