"""Long lists of state for one reader: worked out in steps, and only a few long ones at a time.

A room of 100,000 members has some 50 MB of member events, and whoever opens it may ask for all of them.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing

from homeserver.core.event.pdu import Event
from homeserver.core.requester import Requester
from homeserver.rooms.client_events import ClientEvents
from homeserver.rooms.sight import RoomView, Sight
from storage.tables.events import StoredEvent
from storage.tables.state import State

__all__ = ["StateLists"]

LONG_LISTS_MAX = 4
"""How many lists of more than a page are worked out at a time; further ones wait. Each may take 60 MB."""


def _any(_: Event) -> bool:
    return True


class StateLists:
    """Reads lists of state.

    Args:
        sight: who may see what.
        state: the state.
        client_events: encodes it.
    """

    def __init__(self, *, sight: Sight, state: State, client_events: ClientEvents) -> None:
        self._sight = sight
        self._state = state
        self._client_events = client_events
        self._turns = asyncio.Semaphore(LONG_LISTS_MAX)

    async def encoded(
        self, requester: Requester, view: RoomView, *, position: int | None,
        type_: str | None = None, is_wanted: Callable[[Event], bool] = _any,
    ) -> list[bytes]:  # fmt: skip
        """Encode state for a reader: pieces that are to be joined by commas.

        Args:
            requester: the reader.
            view: the room as they see it.
            position: the state as it was just after that; None as it is.
            type_: only events of this type.
            is_wanted: only such events.
        """
        history = await self._sight.visible_history(view.room, requester.user_id)
        pieces = []
        async with aclosing(self.pages(view.room.room_nid, position, type_)) as pages:
            async for page in pages:
                wanted = [one for one in page if is_wanted(one.event)]
                if wanted:
                    pieces.append(b",".join(await self._client_events.encode(wanted, requester, history)))
        return pieces

    async def pages(
        self, room_nid: int, position: int | None, type_: str | None = None
    ) -> AsyncGenerator[list[StoredEvent], None]:
        """Read state page by page; before the second page it may be somebody else's turn for a while.

        Whoever stops before the end must close it, to give up the turn.
        """
        async with AsyncExitStack() as stack:
            pages = await stack.enter_async_context(aclosing(self._state.pages(room_nid, position, type_)))
            yield await anext(pages)
            has_turn = False
            async for page in pages:
                if not has_turn:
                    await stack.enter_async_context(self._turns)
                    has_turn = True
                yield page
