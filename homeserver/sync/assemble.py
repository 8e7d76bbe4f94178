"""Puts a sync together: finds the rooms of the window, lets each stream tell its part, merges."""

from dataclasses import dataclass
from typing import Protocol

from homeserver.core.positions import SyncToken
from homeserver.runtime.clock import Clock
from homeserver.sync.body import Body
from homeserver.sync.lazy_members import LazyMembers
from homeserver.sync.live_users import LiveUser
from homeserver.sync.notifier import Notifier
from homeserver.sync.ports import SyncReads
from homeserver.sync.request import SyncRequest, Window
from homeserver.sync.room_state import RoomStates
from homeserver.sync.sight import Sights
from homeserver.sync.spans import Span, settled_spans, spans_of
from homeserver.sync.streams.account_data import AccountData
from homeserver.sync.streams.ephemeral import Ephemeral
from homeserver.sync.streams.joined_rooms import JoinedRooms
from homeserver.sync.streams.left_rooms import LeftRooms
from homeserver.sync.streams.offered_rooms import OfferedRooms
from homeserver.sync.streams.presence import Presence
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
    """

    token: SyncToken
    body: bytes
    is_empty: bool


class Assembler:
    """Makes the answers of all syncs."""

    def __init__(self, *, reads: SyncReads, notifier: Notifier, clock: Clock) -> None:
        self._reads = reads
        self._clock = clock
        timelines = Timelines(reads, notifier.rooms)
        states = RoomStates(reads, LazyMembers())
        sights = Sights(reads)
        self._joined = JoinedRooms(
            timelines=timelines, states=states, members=notifier.members, sights=sights
        )
        self._account_data = AccountData(reads)
        self._ephemeral = Ephemeral(reads, notifier.live_rooms)
        self._presence = Presence(notifier.presence)
        self._streams: tuple[Stream, ...] = (
            self._joined,
            OfferedRooms(reads),
            LeftRooms(timelines=timelines, states=states, sights=sights),
            self._account_data,
            self._ephemeral,
            self._presence,
        )

    async def assemble(
        self, request: SyncRequest, user: LiveUser, since: SyncToken | None, now: SyncToken
    ) -> Delta:
        """Tell what is after `since` up to `now`."""
        # A client may come with a token that is ahead of what was heard here: never send it back.
        ahead = since is not None and not now.covers_all_of(since)
        next_batch = now.merge(since) if ahead and since is not None else now
        window = Window(request, user, since, now, next_batch, self._clock.now_ms())
        body = Body()
        spans = settled_spans(window)
        if spans is not None:
            # The live case: news in rooms that the user is in and was in before, or account data.
            if spans:
                await self._joined.incremental(window, spans, body)
                await self._ephemeral.incremental(window, spans, body)
            if since is not None and not user.account_data.is_quiet_since(since):
                await self._account_data.incremental(window, spans, body)
            if since is not None and not user.presence.is_quiet_since(since):
                await self._presence.incremental(window, spans, body)
            return Delta(next_batch, body.encode(next_batch), body.is_empty)
        spans = await spans_of(window, self._reads)
        for stream in self._streams:
            if since is None:
                await stream.complete(window, spans, body)
            else:
                await stream.incremental(window, spans, body)
        return Delta(next_batch, body.encode(next_batch), body.is_empty)
