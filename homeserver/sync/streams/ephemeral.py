"""What is live in joined rooms: `rooms.join.….ephemeral`, who types and who has read how far."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from homeserver.core.changes import ReceiptChange
from homeserver.core.filters import RoomEventFilter, event_passes, room_passes
from homeserver.core.positions import SyncToken
from homeserver.runtime.together import ASKS_MAX, side_by_side
from homeserver.sync.body import Body
from homeserver.sync.live_rooms import READ_PRIVATE, LiveRooms
from homeserver.sync.ports import SyncReads
from homeserver.sync.request import Window
from homeserver.sync.spans import Section, Span

__all__ = ["Ephemeral", "receipts_contents"]

_RECEIPT = "m.receipt"
_TYPING = "m.typing"


class Ephemeral:
    """Tells who types, and receipts."""

    def __init__(self, reads: SyncReads, live_rooms: LiveRooms) -> None:
        self._reads = reads
        self._live_rooms = live_rooms

    def is_of_former_life(self, since: SyncToken | None) -> bool:
        """Whether every room is to be looked at, with news or not: who typed there does so no more."""
        return since is not None and self._live_rooms.is_of_former_life(since)

    async def complete(self, window: Window, spans: list[Span], body: Body) -> None:
        """Who types now, and how far others have read."""
        joined = [span.room_id for span in spans if span.section is Section.JOIN]
        for room_id, receipts in await self._stored(joined, 0):
            typing = self._live_rooms.typing(room_id, None)
            if typing is None and window.since is not None:
                typing = ()  # the client may have been in the room before, when somebody typed
            self._tell(window, room_id, typing, receipts, body)

    async def _stored(
        self, room_ids: Sequence[str], after: int
    ) -> Iterable[tuple[str, Sequence[ReceiptChange]]]:
        reads = [self._reads.receipts_of(room_id, after) for room_id in room_ids]
        return zip(room_ids, await side_by_side(reads, at_once_max=ASKS_MAX), strict=True)

    async def incremental(self, window: Window, spans: list[Span], body: Body) -> None:
        """What changed; of rooms that are new to the client, all."""
        since = window.since
        assert since is not None, "an increment has a beginning"
        is_full = window.request.full_state
        if anew := [span for span in spans if span.anew or is_full]:
            await self.complete(window, anew, body)
        unknown = []
        for span in spans:
            if span.section is not Section.JOIN or span.anew or is_full:
                continue
            receipts = self._live_rooms.receipts_after(span.room_id, since)
            if receipts is None:
                unknown.append(span.room_id)
            else:
                self._tell_news(window, since, span.room_id, receipts, body)
        for room_id, stored in await self._stored(unknown, since.lowest) if unknown else ():
            news = [one for one in stored if not since.covers(one.position)]
            self._tell_news(window, since, room_id, news, body)
        if self._live_rooms.is_of_former_life(since):
            looked_at = {span.room_id for span in spans}
            for room_id, room in window.user.rooms.items():
                if room.membership == "join" and room_id not in looked_at:
                    self._tell_news(window, since, room_id, (), body)

    def _tell_news(
        self, window: Window, since: SyncToken, room_id: str, receipts: Sequence[ReceiptChange], body: Body
    ) -> None:
        typing = self._live_rooms.typing(room_id, since)
        if receipts or typing is not None:
            self._tell(window, room_id, typing, receipts, body)

    @staticmethod
    def _tell(
        window: Window, room_id: str, typing: Sequence[str] | None, receipts: Iterable[ReceiptChange],
        body: Body,
    ) -> None:  # fmt: skip
        wanted = window.request.filter.room.ephemeral
        if not room_passes(wanted, room_id):
            return
        contents = receipts_contents(window.user.user_id, receipts)
        events: list[bytes] = []
        if contents and _passes(wanted, _RECEIPT):
            events += [b'{"type":"m.receipt","content":%b}' % orjson.dumps(content) for content in contents]
        if typing is not None and _passes(wanted, _TYPING):
            others = [user_id for user_id in typing if user_id not in window.user.ignored]
            events.append(b'{"type":"m.typing","content":{"user_ids":%b}}' % orjson.dumps(others))
        if wanted.limit is not None:
            events = events[len(events) - min(wanted.limit, len(events)) :]  # the last ones
        if events:
            body.add(body.joined, room_id, b'"ephemeral":{"events":[%b]}' % b",".join(events))


def receipts_contents(user_id: str, receipts: Iterable[ReceiptChange]) -> list[dict[str, Any]]:
    """Put receipts together by event, kind and user; private ones of others are left out.

    Content has place for one receipt of a user on an event. Who has receipts for several threads there needs
    more than one content; the one for all threads is in the first.

    Spec: https://spec.matrix.org/v1.19/client-server-api/#mreceipt
    """
    contents: list[dict[str, Any]] = []
    for one in sorted(receipts, key=_is_threaded):
        if one.type == READ_PRIVATE and one.user_id != user_id:
            continue
        receipt: dict[str, Any] = {"ts": one.ts_ms}
        if one.thread_id is not None:
            receipt["thread_id"] = one.thread_id
        for content in contents:
            users = content.setdefault(one.event_id, {}).setdefault(one.type, {})
            if one.user_id not in users:
                users[one.user_id] = receipt
                break
        else:
            contents.append({one.event_id: {one.type: {one.user_id: receipt}}})
    return contents


def _is_threaded(receipt: ReceiptChange) -> bool:
    return receipt.thread_id is not None


def _passes(wanted: RoomEventFilter, event_type: str) -> bool:
    return wanted.passes_all or event_passes(wanted, event_type, "", {})
