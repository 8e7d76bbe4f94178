"""The event, as servers sign it.

Spec: https://spec.matrix.org/v1.19/server-server-api/#pdus
"""

from typing import Any

from homeserver.core.canonical_json import encode_plain, parse_json
from homeserver.core.redaction import redact
from homeserver.core.room_versions import RoomVersionRules
from homeserver.core.signing import encode_for_rules, event_id_of

__all__ = ["STICKY", "Event"]

STICKY = "msc4354_sticky"
"""At the top level of an event, outside of the content: see `homeserver.core.event.sticky`."""


class Event:
    """An event with its signed JSON. Nobody may alter one, nor anything in it: it is shared by all readers.

    Attributes:
        event_id: the ID, whether or not it is part of the PDU.
        room_id: the room; in version 12, the create event's follows from its own ID.
        type: event type.
        sender: user ID.
        state_key: None for a message event.
        content: as sent, or what a redaction left of it.
        depth: as the PDU claims.
        origin_server_ts: milliseconds since 1970 by the sending server's clock.
        prev_events: IDs of the events this one follows.
        auth_events: IDs of the events that allow this one.
        redacts: ID of the event that an `m.room.redaction` redacts; None for other types.
        pdu: the JSON object as signed.
        canonical: its canonical JSON.
        rules: of the room's version.
        redacted_because: the redaction that this copy was redacted by, if it was and is at hand.
    """

    __slots__ = (
        "_sync_prefix", "auth_events", "canonical", "content", "depth", "event_id", "origin_server_ts", "pdu",
        "prev_events", "redacted_because", "redacts", "room_id", "rules", "sender", "state_key", "type",
    )  # fmt: skip

    def __init__(self, pdu: dict[str, Any], canonical: bytes, rules: RoomVersionRules, event_id: str) -> None:
        """Take a PDU apart; `parse`, `from_pdu` and `build_event` see to its being whole."""
        self.pdu = pdu
        self.canonical = canonical
        self.rules = rules
        self.event_id = event_id
        self.type: str = pdu["type"]
        room_id: str | None = pdu.get("room_id")
        self.room_id: str = "!" + event_id[1:] if room_id is None else room_id
        self.sender: str = pdu["sender"]
        self.state_key: str | None = pdu.get("state_key")
        self.content: dict[str, Any] = pdu["content"]
        self.depth: int = pdu["depth"]
        self.origin_server_ts: int = pdu["origin_server_ts"]
        if rules.event_references_are_pairs:
            self.prev_events: tuple[str, ...] = tuple([pair[0] for pair in pdu["prev_events"]])
            self.auth_events: tuple[str, ...] = tuple([pair[0] for pair in pdu["auth_events"]])
        else:
            self.prev_events = tuple(pdu["prev_events"])
            self.auth_events = tuple(pdu["auth_events"])
        self.redacts = _redacts(pdu, rules) if self.type == "m.room.redaction" else None
        self.redacted_because: Event | None = None
        self._sync_prefix: bytes | None = None

    @classmethod
    def parse(cls, canonical: bytes, rules: RoomVersionRules, event_id: str | None = None) -> "Event":
        """Read an event from its canonical JSON; trusted, since it was checked before it was stored.

        Raises:
            ValueError: it is no event; only for what was never checked.
        """
        pdu = parse_json(canonical, strict=rules.strict_canonical_json)
        try:
            return cls(pdu, canonical, rules, event_id_of(pdu, rules) if event_id is None else event_id)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"The JSON is no event: {error!r}") from error

    @classmethod
    def from_pdu(cls, pdu: dict[str, Any], rules: RoomVersionRules, event_id: str | None = None) -> "Event":
        """Make an event from a parsed PDU, whose format `check_format` has passed; `unsigned` is dropped.

        Raises:
            ValueError: it is no event, or has no canonical JSON.
        """
        if "unsigned" in pdu:
            pdu = {key: value for key, value in pdu.items() if key != "unsigned"}
        canonical = encode_for_rules(pdu, rules)
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
    def is_state(self) -> bool:
        """Whether it is a state event."""
        return self.state_key is not None

    @property
    def sync_prefix(self) -> bytes:
        """Client JSON without `room_id`, `unsigned` and the closing brace; encoded once."""
        prefix = self._sync_prefix
        if prefix is None:
            prefix = self._sync_prefix = encode_plain(self._client_fields())[:-1]
        return prefix

    @property
    def client_prefix(self) -> bytes:
        """Client JSON without `unsigned` and the closing brace."""
        return self.sync_prefix + b',"room_id":' + encode_plain(self.room_id)

    def _client_fields(self) -> dict[str, Any]:
        fields = {
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


def _redacts(pdu: dict[str, Any], rules: RoomVersionRules) -> str | None:
    holder = pdu["content"] if rules.redaction.redacts_in_content else pdu
    redacts = holder.get("redacts")
    return redacts if isinstance(redacts, str) else None
