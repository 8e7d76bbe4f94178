"""Puts a sync together: finds the rooms of the window, lets each stream tell its part, merges."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from homeserver.core.positions import SyncToken
from homeserver.runtime.clock import Clock
from homeserver.sync.body import Body
from homeserver.sync.lazy_members import LazyMembers
from homeserver.sync.live_inboxes import Inbox
from homeserver.sync.live_users import LiveUser
from homeserver.sync.notifier import Notifier
from homeserver.sync.ports import SyncReads
from homeserver.sync.request import SyncRequest, Window
from homeserver.sync.room_state import RoomStates
from homeserver.sync.sight import Sights
from homeserver.sync.spans import Span, settled_spans, spans_of
from homeserver.sync.sticky_events import StickyEvents
from homeserver.sync.streams.account_data import AccountData
from homeserver.sync.streams.device_lists import DeviceLists
from homeserver.sync.streams.ephemeral import Ephemeral
from homeserver.sync.streams.joined_rooms import JoinedRooms
from homeserver.sync.streams.left_rooms import LeftRooms
from homeserver.sync.streams.offered_rooms import OfferedRooms
from homeserver.sync.streams.presence import Presence
from homeserver.sync.streams.sticky_events import tell_sticky_events
from homeserver.sync.streams.to_device import tell_to_device
from homeserver.sync.thread_subscriptions import ThreadSubscriptions
from homeserver.sync.timeline import Timelines

__all__ = ["Assembler", "Delta", "Stream"]


class Stream(Protocol):
    """One kind of news. Streams do not know each other; what they tell is merged in the body."""

    async def complete(self, window: Window, spans: list[Span], body: Body) -> None:
        """Tell everything."""

    async def incremental(self, window: Window, spans: list[Span], body: Body) -> None:
        """Tell what is new in the window."""


@dataclass(slots=True)  # not frozen, for its cost
class Delta:
    """One answer. Not to be changed.

    Attributes:
        token: where it leaves the client.
        body: the JSON.
        is_empty: it tells nothing but the token.
        is_shared: others who ask for the same and have heard as much are told this, too, if they know
            the members named in `senders` and not those in `introduced`.
        senders: (room ID, user ID) of members who speak in it and whom the reader knows.
        introduced: (room ID, user ID) of members who speak in it and are told with it.
        frame: the body as it goes over a wire, made by the first who sends it.
        has_key_counts: it tells what the device has left of keys, as that has changed.
    """

    token: SyncToken
    body: bytes
    is_empty: bool
    is_shared: bool = False
    senders: Sequence[tuple[str, str]] = ()
    introduced: Sequence[tuple[str, str]] = ()
    frame: bytes | None = None
    has_key_counts: bool = False


class Assembler:
    """Makes the answers of all syncs.

    Attributes:
        lazy_members: which members each session knows.
    """

    def __init__(self, *, reads: SyncReads, notifier: Notifier, clock: Clock) -> None:
        self._reads = reads
        self._clock = clock
        timelines = Timelines(reads, notifier.rooms)
        self.lazy_members = LazyMembers()
        states = RoomStates(reads, self.lazy_members)
        sights = Sights(reads)
        self._joined = JoinedRooms(
            timelines=timelines, states=states, members=notifier.members, sights=sights
        )
        self._account_data = AccountData(reads)
        self._ephemeral = Ephemeral(reads, notifier.live_rooms)
        self._presence = Presence(notifier.presence)
        self._device_lists = DeviceLists(notifier.device_lists)
        self._key_counts = notifier.key_counts
        self._sticky_events = StickyEvents(reads, notifier.live_stickies)
        self._threads = ThreadSubscriptions(reads)
        self._streams: tuple[Stream, ...] = (
            self._joined,
            OfferedRooms(reads),
            LeftRooms(reads=reads, timelines=timelines, states=states, sights=sights),
            self._account_data,
            self._ephemeral,
            self._presence,
            self._device_lists,
        )

    async def assemble(
        self, request: SyncRequest, user: LiveUser, since: SyncToken | None, now: SyncToken, inbox: Inbox
    ) -> Delta:
        """Tell what is after `since` up to `now`; and of the inbox of the device, what fits in."""
        # A client may come with a token that is ahead of what was heard here: never send it back.
        ahead = since is not None and not now.covers_all_of(since)
        next_batch = now.merge(since) if ahead and since is not None else now
        window = Window(request, user, since, now, next_batch, self._clock.now_ms())
        body = await self._begin(window) if request.threads_max else Body()
        spans = None if self._ephemeral.is_of_former_life(since) else settled_spans(window)
        if spans is not None:
            # The live case: news in rooms that the user is in and was in before, or account data.
            if spans:
                await self._joined.incremental(window, spans, body)
                await self._ephemeral.incremental(window, spans, body)
            if since is not None and not user.account_data.is_quiet_since(since):
                await self._account_data.incremental(window, spans, body)
            if since is not None and not user.presence.is_quiet_since(since):
                await self._presence.incremental(window, spans, body)
            if since is not None and not user.device_lists.is_quiet_since(since):
                await self._device_lists.incremental(window, spans, body)
            if not inbox.is_quiet:
                next_batch = await tell_to_device(inbox, window, body)
            has_key_counts = await self._tell_key_counts(window, body)
            if since is not None and not self._sticky_events.is_quiet(since):
                next_batch = await tell_sticky_events(self._sticky_events, window, spans, body, next_batch)
            return Delta(
                next_batch, body.encode(next_batch), body.is_empty,
                is_shared=body.is_shared, senders=body.senders, introduced=body.introduced,
                has_key_counts=has_key_counts,
            )  # fmt: skip
        spans = await spans_of(window, self._reads)
        for stream in self._streams:
            if since is None:
                await stream.complete(window, spans, body)
            else:
                await stream.incremental(window, spans, body)
        next_batch = await tell_to_device(inbox, window, body)
        next_batch = await tell_sticky_events(self._sticky_events, window, spans, body, next_batch)
        has_key_counts = await self._tell_key_counts(window, body)
        return Delta(
            next_batch, body.encode(next_batch), body.is_empty, has_key_counts=has_key_counts
        )

    async def _begin(self, window: Window) -> Body:
        """A body that tells which threads the user follows, if that has changed."""
        body, limit = Body(), window.request.threads_max
        body.further = await self._threads.tell(window.user, window.since, window.now, limit)
        body.is_shared = not body.further
        return body

    async def _tell_key_counts(self, window: Window, body: Body) -> bool:
        """Tell what the device has left of keys, if that has changed; whether it is told."""
        requester = window.request.requester
        if not self._key_counts.is_news(requester, window.since):
            return False
        body.further.append(await self._key_counts.part(requester))
        return True
