"""The event, as servers sign it.

Spec: https://spec.matrix.org/v1.19/server-server-api/#pdus
"""

from typing import Any

import msgspec
import orjson

from homeserver.core.canonical_json import encode_plain, parse_json
from homeserver.core.redaction import redact
from homeserver.core.room_versions import RoomVersionRules
from homeserver.core.signing import encode_for_rules, event_id_of

__all__ = ["STICKY", "Event"]

STICKY = "msc4354_sticky"
"""At the top level of an event, outside of the content: see `homeserver.core.event.sticky`."""

_REDACTION = "m.room.redaction"


class _Head(msgspec.Struct, gc=False, kw_only=True, omit_defaults=True):
    """What clients are shown of a stored event, the content as it is written; encoded, that is what they get.

    The room is not encoded: it is known from where the event is told.
    """

    content: msgspec.Raw
    event_id: Any = msgspec.UNSET  # of any type, since whoever sends an event may put it into newer PDUs
    origin_server_ts: int
    sender: str
    type: str
    state_key: str | msgspec.UnsetType | None = msgspec.UNSET
    sticky: msgspec.Raw | msgspec.UnsetType = msgspec.field(name=STICKY, default=msgspec.UNSET)
    room_id: str | msgspec.UnsetType | None = msgspec.UNSET


_Graph = tuple[int, tuple[str, ...], tuple[str, ...]]
"""Depth, IDs of the previous events, and of the auth events."""

_head_of = msgspec.json.Decoder(_Head).decode
_encode_head = msgspec.json.Encoder().encode


class Event:
    """An event with its signed JSON. Nobody may alter one, nor anything in it: it is shared by all readers.

    Of a stored event only the head is read at first, and the rest when somebody asks for it: a first sync
    tells thousands of events as they are written.

    Attributes:
        event_id: the ID, whether or not it is part of the PDU.
        room_id: the room; in version 12, the create event's follows from its own ID.
        type: event type.
        sender: user ID.
        state_key: None for a message event.
        origin_server_ts: milliseconds since 1970 by the sending server's clock.
        redacts: ID of the event that an `m.room.redaction` redacts; None for other types.
        canonical: its canonical JSON.
        rules: of the room's version.
        redacted_because: the redaction that this copy was redacted by, if it was and is at hand.
    """

    __slots__ = (
        "_content", "_graph", "_head", "_pdu", "_sync_prefix", "canonical", "event_id", "origin_server_ts",
        "redacted_because", "redacts", "room_id", "rules", "sender", "state_key", "type",
    )  # fmt: skip

    def __init__(self, pdu: dict[str, Any], canonical: bytes, rules: RoomVersionRules, event_id: str) -> None:
        """Take a PDU apart; `parse`, `from_pdu` and `build_event` see to its being whole."""
        self.canonical = canonical
        self.rules = rules
        self.event_id = event_id
        self.type: str = pdu["type"]
        room_id: str | None = pdu.get("room_id")
        self.room_id: str = "!" + event_id[1:] if room_id is None else room_id
        self.sender: str = pdu["sender"]
        self.state_key: str | None = pdu.get("state_key")
        self.origin_server_ts: int = pdu["origin_server_ts"]
        self.redacts = _redacts(pdu, rules) if self.type == _REDACTION else None
        self.redacted_because: Event | None = None
        self._content: dict[str, Any] | None = pdu["content"]
        self._pdu: dict[str, Any] | None = pdu
        self._graph: _Graph | None = _graph(pdu, rules)
        self._head: _Head | None = None
        self._sync_prefix: bytes | None = None

    @classmethod
    def parse(cls, canonical: bytes, rules: RoomVersionRules, event_id: str | None = None) -> "Event":
        """Read an event from its canonical JSON; trusted, since it was checked before it was stored.

        Raises:
            ValueError: it is no event; only for what was never checked.
        """
        return cls._whole(
            parse_json(canonical, strict=rules.strict_canonical_json), canonical, rules, event_id
        )

    @classmethod
    def stored(cls, canonical: bytes, rules: RoomVersionRules, event_id: str) -> "Event":
        """Read the head of an event that was stored; the same as `parse`, but the rest is read when needed.

        Raises:
            ValueError: it is no event.
        """
        if not rules.strict_canonical_json:  # there may be numbers in it that have to be read with care
            return cls.parse(canonical, rules, event_id)
        try:
            head = _head_of(canonical)  # its DecodeError is a ValueError
        except msgspec.ValidationError:  # no event that was checked, but not for us to say
            return cls.parse(canonical, rules, event_id)
        if head.type == _REDACTION:
            return cls.parse(canonical, rules, event_id)
        event = cls.__new__(cls)
        event.canonical = canonical
        event.rules = rules
        event.event_id = event_id
        event.type = head.type
        event.room_id = head.room_id or "!" + event_id[1:]
        event.sender = head.sender
        if head.state_key is None:
            head.state_key = msgspec.UNSET
        event.state_key = None if head.state_key is msgspec.UNSET else head.state_key
        event.origin_server_ts = head.origin_server_ts
        event.redacts = None
        event.redacted_because = None
        event._content = event._pdu = event._graph = event._sync_prefix = None  # noqa: SLF001 - the event being made
        head.event_id, head.room_id = event_id, msgspec.UNSET
        event._head = head  # noqa: SLF001 - the event being made
        return event

    @classmethod
    def from_pdu(cls, pdu: dict[str, Any], rules: RoomVersionRules, event_id: str | None = None) -> "Event":
        """Make an event from a parsed PDU, whose format `check_format` has passed; `unsigned` is dropped.

        Raises:
            ValueError: it is no event, or has no canonical JSON.
        """
        if "unsigned" in pdu:
            pdu = {key: value for key, value in pdu.items() if key != "unsigned"}
        return cls._whole(pdu, encode_for_rules(pdu, rules), rules, event_id)

    @classmethod
    def _whole(
        cls, pdu: dict[str, Any], canonical: bytes, rules: RoomVersionRules, event_id: str | None
    ) -> "Event":
        try:
            return cls(pdu, canonical, rules, event_id_of(pdu, rules) if event_id is None else event_id)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"The JSON is no event: {error!r}") from error

    def redacted_by(self, redaction: "Event") -> "Event":
        """Make the copy of this event that a redaction leaves; it keeps its ID."""
        pdu = redact(self.pdu, self.rules)
        event = Event(pdu, encode_for_rules(pdu, self.rules), self.rules, self.event_id)
        event.redacted_because = redaction
        return event

    def pruned(self) -> "Event":
        """Make a copy with no more than a redaction leaves, for readers who may not see what was said."""
        pdu = redact(self.pdu, self.rules)
        event = Event(pdu, encode_for_rules(pdu, self.rules), self.rules, self.event_id)
        event.redacted_because = self.redacted_because
        return event

    @property
    def pdu(self) -> dict[str, Any]:
        """The JSON object as signed."""
        pdu = self._pdu
        if pdu is None:
            pdu = self._pdu = orjson.loads(self.canonical)
        return pdu

    @property
    def content(self) -> dict[str, Any]:
        """What was sent, or what a redaction left of it."""
        content = self._content
        if content is None:
            assert self._head is not None, "one or the other is there"
            content = self._content = orjson.loads(memoryview(self._head.content))
        return content

    @property
    def depth(self) -> int:
        """The depth, as the PDU claims."""
        return self._place()[0]

    @property
    def prev_events(self) -> tuple[str, ...]:
        """IDs of the events this one follows."""
        return self._place()[1]

    @property
    def auth_events(self) -> tuple[str, ...]:
        """IDs of the events that allow this one."""
        return self._place()[2]

    @property
    def sticky(self) -> Any:
        """What the top level says of being sticky; None if it says nothing."""
        if self._head is None:
            return self.pdu.get(STICKY)
        raw = self._head.sticky
        return None if raw is msgspec.UNSET else orjson.loads(memoryview(raw))

    @property
    def is_state(self) -> bool:
        """Whether it is a state event."""
        return self.state_key is not None

    @property
    def sync_prefix(self) -> bytes:
        """Client JSON without `room_id`, `unsigned` and the closing brace; encoded once."""
        prefix = self._sync_prefix
        if prefix is None:
            head = self._head
            encoded = encode_plain(self._client_fields()) if head is None else _encode_head(head)
            prefix = self._sync_prefix = encoded[:-1]
        return prefix

    @property
    def sync_json(self) -> bytes:
        """Client JSON without `room_id` and `unsigned`."""
        if self._sync_prefix is None and self._head is not None:
            return _encode_head(self._head)
        return self.sync_prefix + b"}"

    @property
    def client_prefix(self) -> bytes:
        """Client JSON without `unsigned` and the closing brace."""
        return self.sync_prefix + b',"room_id":' + encode_plain(self.room_id)

    def _place(self) -> _Graph:
        graph = self._graph
        if graph is None:
            graph = self._graph = _graph(self.pdu, self.rules)
        return graph

    def _client_fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "content": self.content,
            "event_id": self.event_id,
            "origin_server_ts": self.origin_server_ts,
            "sender": self.sender,
            "type": self.type,
        }
        if self.state_key is not None:
            fields["state_key"] = self.state_key
        if STICKY in self.pdu:
            fields[STICKY] = self.pdu[STICKY]
        if self.redacts is not None:
            # COMPAT: old clients look at the top level, new ones in the content; each finds it.
            fields["redacts"] = self.redacts
            if "redacts" not in self.content:
                fields["content"] = {**self.content, "redacts": self.redacts}
        return fields

    def __repr__(self) -> str:
        return f"<Event {self.event_id} {self.type} in {self.room_id}>"


def _graph(pdu: dict[str, Any], rules: RoomVersionRules) -> _Graph:
    depth, prev_events, auth_events = pdu["depth"], pdu["prev_events"], pdu["auth_events"]
    if rules.event_references_are_pairs:
        return depth, tuple([pair[0] for pair in prev_events]), tuple([pair[0] for pair in auth_events])
    return depth, tuple(prev_events), tuple(auth_events)


def _redacts(pdu: dict[str, Any], rules: RoomVersionRules) -> str | None:
    holder = pdu["content"] if rules.redaction.redacts_in_content else pdu
    redacts = holder.get("redacts")
    return redacts if isinstance(redacts, str) else None
