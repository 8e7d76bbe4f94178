"""An event in a room's timeline, as every sync shows it; encoded once, whoever reads it."""

from collections.abc import Sequence

import orjson

from homeserver.core.changes import EventChange
from homeserver.core.event.format import client_event, told_to_sender
from homeserver.core.event.pdu import Event
from homeserver.core.event.sticky import sticky_until_ms

__all__ = ["TimelineEvent", "event_json"]


def event_json(event: Event) -> bytes:
    """An event of the `state` part of a room: no room ID (the response says it), nothing unsigned."""
    return event.sync_json


class TimelineEvent:
    """One event and what readers are told about it beside what was signed.

    Attributes:
        position: its place in the room, and in the stream of its writer.
        event: the event; the redacted one once it is redacted.
        replaces: ID of the state event that it replaced, if any.
        session_id: the session that sent it, if it is known.
        transaction_id: the transaction ID of that session.
        delay_id: of an event that was a delayed one: the ID by which that session knows it.
        is_parent: others that came after it point at it, so something may be bundled with it.
        is_current: a state event became part of the current state.
        resets: state events that state resolution brought back when it took this one in.
        is_branched: the state before it was not the current state when it came.
        is_withheld: it is not shown; only what it brought back is told.
    """

    __slots__ = (
        "_replaced", "_static_unsigned", "_sticky_until_ms", "delay_id", "event", "is_branched", "is_current",
        "is_parent", "is_withheld", "position", "replaces", "resets", "session_id", "transaction_id",
    )  # fmt: skip

    def __init__(
        self,
        position: int,
        event: Event,
        *,
        replaces: str | None = None,
        session_id: int | None = None,
        transaction_id: str | None = None,
    ) -> None:
        self.position = position
        self.event = event
        self.replaces = replaces
        self.session_id = session_id
        self.transaction_id = transaction_id
        self.delay_id: str | None = None
        self.is_parent = False
        self.is_current = True
        self.is_branched = False
        self.is_withheld = False
        self.resets: tuple[Event, ...] = ()
        self._replaced: Event | None = None
        self._static_unsigned: bytes | None = None
        self._sticky_until_ms = 0  # known with the static part

    @classmethod
    def of_change(cls, change: EventChange) -> "TimelineEvent":
        """The event of a change that was just committed."""
        shown = cls(
            change.position,
            change.event,
            replaces=change.replaces,
            session_id=change.session_id,
            transaction_id=change.transaction_id,
        )
        shown.delay_id = change.delay_id
        shown._replaced = change.replaced
        shown.is_current = change.is_current
        shown.is_branched = change.is_forked
        shown.resets = change.resets
        shown.is_withheld = change.is_withheld
        return shown

    @classmethod
    def of_resets(cls, position: int, resets: Sequence[Event]) -> "TimelineEvent":
        """What an event brought back that is not shown itself."""
        shown = cls(position, resets[0])
        shown.resets = tuple(resets)
        shown.is_withheld = True
        return shown

    @property
    def lacks_replaced(self) -> bool:
        """The event that it replaced is still to be looked up."""
        return self.replaces is not None and self._replaced is None

    def replaced_is(self, replaced: Event) -> None:
        """Take note of the state event that it replaced, for `prev_content`."""
        self._replaced = replaced
        self._static_unsigned = None

    def redact(self, redacted: Event) -> None:
        """Show the redacted event from now on; it knows the redaction that did it."""
        self.event = redacted
        self._static_unsigned = None

    def pruned(self) -> "TimelineEvent":
        """Make a copy that says no more than a redaction would leave."""
        shown = TimelineEvent(self.position, self.event.pruned(), replaces=self.replaces)
        shown.is_current, shown.resets = self.is_current, self.resets
        return shown

    def json(
        self, now_ms: int, session_id: int, membership: bytes = b"join", relations: bytes | None = None
    ) -> bytes:
        """The event for a reader, who had this membership at it.

        Only the age, the membership, the transaction ID and what is bundled (`relations`) differ between
        readers.
        """
        event = self.event
        static = self._static_unsigned
        if static is None:
            static = self._static_unsigned = self._encode_static()
        age_ms = max(0, now_ms - event.origin_server_ts)
        own = b""
        if self.session_id == session_id:
            own = self._told_to_sender()
        if self._sticky_until_ms > now_ms:
            own += b',"msc4354_sticky_duration_ttl_ms":%d' % (self._sticky_until_ms - now_ms)
        if relations is not None:
            own += b',"m.relations":' + relations
        # The prefix is encoded once per process and spliced in.
        return b'%b,"unsigned":{"age":%d,"membership":"%b"%b%b}}' % (
            event.sync_prefix, age_ms, membership, static, own,
        )  # fmt: skip

    def sticky_json(self, now_ms: int, session_id: int) -> bytes:
        """The event for a reader who may have come after it: without what the reader was at it."""
        event = self.event
        return b'%b,"unsigned":{"age":%d%b,"msc4354_sticky_duration_ttl_ms":%d}}' % (
            event.sync_prefix,
            max(0, now_ms - event.origin_server_ts),
            self._told_to_sender() if self.session_id == session_id else b"",
            max(0, sticky_until_ms(event, self.position) - now_ms),
        )

    def _told_to_sender(self) -> bytes:
        told = told_to_sender(self.transaction_id, self.delay_id)
        return b"," + orjson.dumps(dict(told))[1:-1] if told else b""

    def _encode_static(self) -> bytes:
        event = self.event
        if self.replaces is None and event.redacted_because is None and event.sticky is None:
            self._sticky_until_ms = 0
            return b""  # nearly always
        self._sticky_until_ms = sticky_until_ms(event, self.position)
        parts = [b""]
        if self.replaces is not None:
            parts.append(b'"replaces_state":' + orjson.dumps(self.replaces))
        if self._replaced is not None:
            parts.append(b'"prev_content":' + orjson.dumps(self._replaced.content))
            parts.append(b'"prev_sender":' + orjson.dumps(self._replaced.sender))
        if event.redacted_because is not None:
            parts.append(b'"redacted_because":' + client_event(event.redacted_because))
        return b",".join(parts)
