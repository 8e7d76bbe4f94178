"""Reading what a redaction took away, while storage still keeps it (MSC2815).

For those who moderate: administrators of the server, and users who may redact in the room.
"""

from homeserver.core.content.member import JOIN
from homeserver.core.errors import Forbidden, NotFound
from homeserver.core.event.pdu import Event
from homeserver.core.requester import Requester
from homeserver.rooms.client_events import ClientEvents
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.timeline import Timeline
from storage.tables.events import StoredEvent
from storage.tables.retention import Retention

__all__ = ["ContentDeleted", "RedactedReads"]


class ContentDeleted(NotFound):
    """The content of a redacted event is gone for good."""

    errcode = "FI.MAU.MSC2815_UNREDACTED_CONTENT_DELETED"


class RedactedReads:
    """Reads events as they were before they were redacted.

    Args:
        timeline: what there is to see.
        client_events: encodes it.
        registry: knows who may redact.
        retention: what is kept of redacted events.
        kept_ms: how long it is kept.
    """

    def __init__(
        self, *, timeline: Timeline, client_events: ClientEvents, registry: RoomRegistry,
        retention: Retention, kept_ms: int,
    ) -> None:  # fmt: skip
        self._timeline = timeline
        self._client_events = client_events
        self._registry = registry
        self._retention = retention
        self._kept_ms = kept_ms

    async def event(self, requester: Requester, room_id: str, event_id: str) -> bytes:
        """Read one event with the content that it was sent with.

        Raises:
            ContentDeleted: it was redacted too long ago.
            Forbidden: the user may not redact what others sent in this room.
            NotFound: there is no such event, or not for this user.
        """
        try:
            room = await self._timeline.room(requester, room_id)
        except Forbidden:
            raise NotFound("There is no such event in this room, or you may not see it.") from None
        stored = await self._timeline.event(room, event_id)
        if not requester.is_admin:
            await self._check_may_redact(requester.user_id, room_id)
        if stored.is_redacted:
            stored = await self._as_sent(stored)
        (encoded,) = await self._client_events.encode(
            [stored], requester, room.history, until=room.view.until
        )
        return encoded

    async def _check_may_redact(self, user_id: str, room_id: str) -> None:
        room = await self._registry.actor(room_id, ("m.room.member", user_id))
        levels = room.power_levels
        if room.membership(user_id) != JOIN or levels.user_level(user_id) < levels.redact:
            raise Forbidden("Only those may read redacted content who may redact what others sent.")

    async def _as_sent(self, stored: StoredEvent) -> StoredEvent:
        redacted = stored.event
        kept = await self._retention.redacted(stored.room_nid, redacted.event_id)
        if kept is None:
            fields = {"fi.mau.msc2815.content_keep_ms": self._kept_ms}
            raise ContentDeleted("The content of this event is deleted.", **fields)
        event = Event.parse(kept, redacted.rules, redacted.event_id)
        event.redacted_because = redacted.redacted_because
        return StoredEvent(
            stored.position, stored.room_nid, event, stored.is_redacted, stored.flags, stored.state_group
        )
