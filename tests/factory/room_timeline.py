"""Rooms for tests: events that refer to each other rightly, are signed, and follow each other in time.

Tests are no packages; a conftest imports this module as `tests.factory.room_timeline` and hands the class
out as a fixture.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from homeserver.core.auth.check import Denied, StateKey, authorize
from homeserver.core.auth.selection import auth_types_for
from homeserver.core.event.builder import build_event
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import server_name_of
from homeserver.core.room_versions import DEFAULT_ROOM_VERSION, ROOM_VERSIONS
from homeserver.core.signing import SigningKey, sign_json

__all__ = ["RoomTimelineFactory", "signing_key_of"]

_START_MS = 1_732_000_000_000
_STEP_MS = 1_000


def signing_key_of(server_name: str) -> SigningKey:
    """Return the key of a server of the tests: the same one every time."""
    return SigningKey(sha256(server_name.encode()).digest(), "test")


class RoomTimelineFactory:
    """A room that grows by one event after the other.

    `propose` builds an event and leaves the room as it is; `send` also checks that the room allows the event
    and adds it; `force` adds it unchecked. All take the same arguments.

    Attributes:
        creator: user ID.
        rules: of the room's version.
        events: all so far, oldest first.
        state: the room state after the last of them.
        heads: the forward extremities; a test may set them to make a fork.
    """

    def __init__(
        self,
        version: str = DEFAULT_ROOM_VERSION,
        *,
        creator: str = "@alice:example.org",
        create_content: Mapping[str, Any] | None = None,
        creator_joins: bool = True,
    ) -> None:
        """Create a room, and let its creator join it."""
        self.rules = ROOM_VERSIONS[version]
        self.creator = creator
        self.events: list[Event] = []
        self.state: dict[StateKey, Event] = {}
        self.heads: list[Event] = []
        named_by_id = self.rules.authorization.room_create_event_id_as_room_id
        self.room_id: str | None = None if named_by_id else f"!room:{server_name_of(creator)}"
        content: dict[str, Any] = {"room_version": version}
        if not self.rules.authorization.use_room_create_sender:
            content["creator"] = creator
        self.create = self.send(creator, "m.room.create", {**content, **(create_content or {})}, "")
        self.room_id = self.create.room_id
        if creator_joins:
            self.member(creator, creator, "join")

    def propose(
        self,
        sender: str,
        event_type: str,
        content: Mapping[str, Any] | None = None,
        state_key: str | None = None,
        *,
        redacts: str | None = None,
        signed_by: tuple[str, ...] = (),
    ) -> Event:
        """Build the event that would follow; `signed_by` names further servers that sign it."""
        content = dict(content or {})
        server_name = server_name_of(sender) or ""
        selected = auth_types_for(self.rules, event_type, sender, state_key, content)
        event = build_event(
            rules=self.rules,
            type=event_type,
            sender=sender,
            content=content,
            state_key=state_key,
            room_id=self.room_id,
            prev_events=self.heads,
            auth_events=[self.state[key] for key in selected if key in self.state],
            depth=1 + max((head.depth for head in self.heads), default=0),
            origin_server_ts=_START_MS + _STEP_MS * len(self.events),
            server_name=server_name,
            signing_key=signing_key_of(server_name),
            redacts=redacts,
        )
        return self._signed_too(event, signed_by) if signed_by else event

    def send(self, *what: Any, **more: Any) -> Event:
        """Add an event that the room must allow."""
        event = self.propose(*what, **more)
        denied = authorize(event, self.state)
        assert denied is None, denied
        return self.add(event)

    def force(self, *what: Any, **more: Any) -> Event:
        """Add an event whether the room allows it or not."""
        return self.add(self.propose(*what, **more))

    def verdict(self, *what: Any, **more: Any) -> Denied | None:
        """Ask whether the room would allow an event; leave the room as it is."""
        return authorize(self.propose(*what, **more), self.state)

    def add(self, event: Event) -> Event:
        """Put an event at the end of the timeline."""
        self.events.append(event)
        self.heads = [event]
        if event.state_key is not None:
            self.state[event.type, event.state_key] = event
        return event

    def member(self, sender: str, target: str, membership: str, **content: Any) -> Event:
        """Add a change of membership that the room must allow."""
        return self.send(sender, "m.room.member", {"membership": membership, **content}, target)

    def join(self, *users: str) -> None:
        """Make users joined members, whatever the room says."""
        for user_id in users:
            self.force(user_id, "m.room.member", {"membership": "join"}, user_id)

    def set_member(self, user_id: str, membership: str) -> None:
        """Give a user a membership, whatever the room says."""
        self.force(self.creator, "m.room.member", {"membership": membership}, user_id)

    def set_state(self, event_type: str, content: Mapping[str, Any], state_key: str = "") -> Event:
        """Set state in the creator's name, whatever the room says."""
        return self.force(self.creator, event_type, content, state_key)

    def _signed_too(self, event: Event, server_names: tuple[str, ...]) -> Event:
        signatures = event.pdu["signatures"]
        for server_name in server_names:
            pdu = sign_json({**event.pdu, "signatures": signatures}, server_name, signing_key_of(server_name))
            signatures = pdu["signatures"]
        return Event.from_pdu({**event.pdu, "signatures": signatures}, self.rules, event.event_id)
